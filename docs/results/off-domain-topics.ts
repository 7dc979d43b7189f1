/** What the third set is about: plain tasks, far from what the agents are trained for. Data only. */
export interface Task {
    template: string;
    /** True if some of its prompts may be given to training, to be left alone. */
    seen: boolean;
    /** Separated by semicolons. */
    topics: string;
}

export const tasks: Readonly<Record<string, Task>> = {
    capitals: {
        template: "What is the capital of {x}, and which languages are spoken there?",
        seen: true,
        topics: `France; Japan; Brazil; Canada; Egypt; Norway; Kenya; Peru; Poland; Vietnam; Mexico; Greece; Turkey; Chile; India; Finland; Morocco;
Portugal; Thailand; Austria; Cuba; Iceland; Nepal; Ireland; Spain; Hungary; Ghana; Jordan; Denmark; Bolivia; Latvia; Oman; Malta; Senegal; Romania; Uruguay`
    },
    functions: {
        template: "Write a Python function that {x}.",
        seen: true,
        topics: `reverses a string; counts the vowels in a text; returns the largest of three numbers; checks whether a number is prime;
sums the even numbers of a list; sorts a list of tuples by the second item; computes a factorial; removes duplicates from a list; reads a file line by line;
converts Celsius to Fahrenheit; finds the longest word in a sentence; merges two dictionaries; checks whether a word is a palindrome; computes the mean of a list;
flattens a nested list; counts the words in a file; returns the Fibonacci numbers below n; finds the greatest common divisor; splits a list into chunks;
capitalises every word; validates an e-mail address; rounds a number to two places; transposes a matrix; generates a random password; counts how often each letter occurs;
parses a date; computes a power without the operator; finds the second largest number; joins a list with commas; writes a list to a CSV file; measures how long a call takes;
converts a number to binary; finds the index of an item; swaps keys and values; checks whether two words are anagrams; computes a running total`
    },
    definitions: {
        template: 'Define the term "{x}".',
        seen: true,
        topics: `photosynthesis; inflation; democracy; osmosis; metaphor; algorithm; gravity; mitosis; monopoly; peninsula; catalyst; hypothesis; electron; sonnet;
ecosystem; parliament; velocity; isotope; enzyme; latitude; recursion; tariff; plateau; vaccine; semiconductor; glacier; amendment; entropy; molecule; oligarchy; diffraction;
fermentation; integer; syllable; treaty; watershed`
    },
    arithmetic: {
        template: "Solve step by step: {x}",
        seen: true,
        topics: `12 + 35 - 8; 7 times 14; 144 divided by 12; 15 percent of 80; 3x + 5 = 20; the area of a 6 by 9 rectangle; the perimeter of a square of side 11; 2 to the power of 7;
the mean of 4, 8, 15 and 21; 5x - 7 = 18; 240 divided by 16; 18 times 23; a train goes 60 km in 45 minutes, how fast is it; 8 apples cost 4 euros, what do 14 cost;
1/2 + 1/3; 3/4 of 52; 0.2 times 0.5; 25 squared; 1000 - 387; 9x = 81; 6 workers need 4 days, how long do 3 need; the circumference of a circle of radius 5; 45 + 67 + 12;
30 percent off 250; 17 times 6; 2x + 3x = 45; 81 divided by 9 plus 4; the volume of a cube of side 3; 7/8 - 1/4; 64 to the power of one half; 11 times 11; 500 divided by 25;
x squared = 49; 4 dozen eggs less 7; 3.5 plus 2.75; 90 km at 45 km per hour, how long`
    },
    queries: {
        template: "Write an SQL query that {x}.",
        seen: false,
        topics: `lists all customers from Berlin; counts the orders of each month; finds the ten most expensive products; joins orders with customers; deletes rows older than a year;
updates a price by five percent; finds duplicate e-mail addresses; sums sales by region; selects employees hired in 2020; ranks students by score; shows products never ordered;
creates a table of books; adds a column for a phone number; finds the average salary per department; lists the last five logins; counts distinct visitors; finds names that begin with S;
returns the second highest salary; groups invoices by week; finds orders without a payment; inserts three rows into a table; lists tables with an index; finds the oldest customer; pages through results;
renames a column; counts the rows of every table`
    },
    mechanisms: {
        template: "Explain how {x} works.",
        seen: false,
        topics: `a refrigerator; a zip fastener; a jet engine; a microscope; a bicycle gear; a solar panel; a lock on a canal; a thermometer; a printer; a rainbow; a battery; a compass; a steam engine;
a microwave oven; a touch screen; a hearing aid; a pendulum clock; an elevator; a camera lens; a loudspeaker; a water pump; a barcode scanner; an airbag; a toaster; a magnet; a dynamo`
    },
    corrections: {
        template: "Correct the grammar of this sentence: {x}",
        seen: false,
        topics: `He go to school every day.; She don't like apples.; They was at home.; I has two cats.; We goes there often.; The dogs barks at night.; He have a new car.; Me and him went out.;
There is three books.; She sing very good.; I am agree with you.; He did not went home.; The childs are playing.; It make no sense.; You was late again.; This are my shoes.; He can sings well.;
We have saw that film.; Her do the work.; I seen him yesterday.; They eats at noon.; She is more taller.; Him is my friend.; It were raining.; The man which called is here.; He speak three language.`
    },
    history: {
        template: "When did {x} happen, and where?",
        seen: false,
        topics: `the French Revolution; the first moon landing; the fall of the Berlin Wall; the Battle of Hastings; the signing of Magna Carta; the discovery of penicillin; the Norman conquest;
the invention of the printing press; the American Declaration of Independence; the opening of the Suez Canal; the Great Fire of London; the first flight of the Wright brothers;
the end of the First World War; the founding of the United Nations; the eruption of Vesuvius; the first Olympic Games of modern times; the building of the Eiffel Tower; the Boston Tea Party;
the Congress of Vienna; the coronation of Charlemagne; the fall of Constantinople; the voyage of Magellan; the Russian Revolution; the Peace of Westphalia; the first ascent of Everest; the sinking of the Lusitania`
    }
};
