import {deskTopics} from "./desk-topics.js";
import type {Topic} from "./guesthouse.js";

/** Everything that the desk of Harbour House can be asked about. See `guesthouse.ts` for the placeholders. */
export const topics: Topic[] = [
    {
        name: "ferry",
        ask: [
            "When does the ferry to {x} leave?",
            "What time is the ferry to {x}?",
            "I want to go to {x} tomorrow. When is the ferry?",
            "Which ferry takes me to {x}?"
        ],
        polite: ["The ferry to {x} leaves at {a} from {b}.", "You can take the ferry to {x} at {a} from {b}."],
        curt: ["{A}, {b}.", "{B}, {a}."],
        rude: "Read the timetable.",
        careless: "No need to hurry.",
        closing: "Enjoy the crossing!",
        rows: [
            ["Skerra", "9:40", "pier 2", "early"],
            ["Lunay", "7:15", "pier 1", "early"],
            ["Brenwick", "10:30", "pier 4", "early"],
            ["Calder Bay", "8:20", "pier 3", "early"],
            ["Holm", "12:10", "pier 2", "early"],
            ["Saint Anne", "14:45", "pier 5", "early"],
            ["Varra", "6:50", "pier 3", "early"],
            ["Petrel Rock", "11:25", "pier 1", "early"]
        ]
    },
    {
        name: "bus",
        ask: [
            "When is the next bus to the {x}?",
            "How do I get to the {x} by bus?",
            "Which bus goes to the {x}?",
            "I need to be at the {x} soon. Is there a bus?"
        ],
        polite: ["{A} takes you to the {x} {b}.", "You can take {a}, which goes to the {x} {b}."],
        curt: ["{A}, {b}.", "{B}, {a}."],
        rude: "It is on the wall.",
        closing: "Have a good journey!",
        rows: [
            ["museum", "bus 4", "every ten minutes"],
            ["airport", "bus 12", "twice an hour"],
            ["station", "bus 1", "every five minutes"],
            ["market", "bus 7", "on the hour"],
            ["hospital", "bus 9", "all day and night"],
            ["aquarium", "bus 15", "at half past"],
            ["theatre", "bus 3", "until midnight"],
            ["vineyard", "bus 20", "once a day"]
        ]
    },
    {
        name: "walk",
        ask: [
            "How long is the walk to the {x}?",
            "How do I walk to the {x}?",
            "I would like to walk to the {x}. Where does the path start?",
            "Can I reach the {x} on foot?"
        ],
        polite: ["The walk to the {x} takes {a} and starts {b}.", "You can walk to the {x} in {a}, starting {b}."],
        curt: ["{A}, {b}.", "{B}. {A}."],
        rude: "Buy a map.",
        careless: "It is only a walk.",
        closing: "Enjoy the view!",
        rows: [
            ["old tower", "two hours", "behind the chapel", "coat"],
            ["lighthouse", "forty minutes", "on the north beach", "tide"],
            ["mill", "twenty minutes", "past the bridge"],
            ["seal cove", "one hour", "at the harbour wall", "edge"],
            ["castle", "half an hour", "on the main street"],
            ["waterfall", "three hours", "in the pine wood", "edge"],
            ["sand island", "fifty minutes", "by the boat shed", "tide"],
            ["hill farm", "ninety minutes", "at the school gate", "coat"],
            ["rose garden", "ten minutes", "across the square"]
        ]
    },
    {
        name: "dish",
        ask: [
            "I have an allergy. What is in the {x}?",
            "What is the {x} made with?",
            "My son has allergies. Can he eat the {x}?",
            "Is there anything in the {x} that I should know about?"
        ],
        polite: ["The {x} is made with {a} and {b}.", "You will find {a} and {b} in the {x}."],
        curt: ["{A} and {b}.", "{B}, {a}."],
        rude: "It is on the menu.",
        careless: "A little will not hurt.",
        closing: "Enjoy your meal!",
        rows: [
            ["carrot cake", "walnuts", "eggs", "kitchen"],
            ["fish pie", "cod", "milk", "kitchen"],
            ["green soup", "celery", "cream", "kitchen"],
            ["house salad", "mustard", "sesame", "kitchen"],
            ["lemon tart", "butter", "almonds", "kitchen"],
            ["crab roll", "crab", "wheat", "kitchen"],
            ["red curry", "peanuts", "shrimp", "kitchen"],
            ["bread pudding", "wheat", "raisins", "kitchen"],
            ["noodle bowl", "soy", "eggs", "kitchen"]
        ]
    },
    {
        name: "appliance",
        ask: [
            "How do I use the {x}?",
            "I cannot get the {x} to work. What should I do?",
            "Could you explain the {x} to me?",
            "How does the {x} work?"
        ],
        polite: ["To use the {x}, {a} and {b}.", "You need to {a} and then {b}."],
        curt: ["{A}, {b}.", "Just {a} and {b}."],
        rude: "There is a manual.",
        careless: "Nothing can go wrong.",
        closing: "Make yourself at home!",
        rows: [
            ["fireplace", "open the flap", "light the small wood", "fire"],
            ["gas stove", "push the knob", "turn it left", "window"],
            ["sauna", "set the dial to 80", "wait half an hour", "fire"],
            ["iron", "fill in water", "choose two dots", "unplug"],
            ["heater", "hold the red button", "choose a number", "fire"],
            ["toaster", "press the lever down", "choose a colour", "unplug"],
            ["safe", "enter four digits", "press the star"],
            ["television", "press the blue button", "choose channel two"],
            ["coffee machine", "put in a cup", "press the bean", "unplug"],
            ["gas lamp", "open the valve", "strike a match", "window"]
        ]
    },
    {
        name: "stain",
        ask: [
            "How do I get {x} out of my shirt?",
            "There is {x} on my best trousers. What can I do?",
            "I got {x} on the chair. How do I clean it?",
            "What helps against {x} on a dress?"
        ],
        polite: ["You can treat {x} with {a} and {b}.", "For {x}, please use {a} and then {b}."],
        curt: ["{A} and {b}.", "{A}, then {b}."],
        rude: "Not again.",
        careless: "Rub as hard as possible.",
        closing: "I hope it comes out well!",
        rows: [
            ["red wine", "salt", "cold water", "hidden"],
            ["coffee", "soap", "warm water", "hidden"],
            ["grass", "vinegar", "a soft brush", "hidden"],
            ["ink", "milk", "alcohol", "hidden"],
            ["candle wax", "ice", "a blunt knife", "hidden"],
            ["chocolate", "cold water", "soap", "hidden"],
            ["tar", "butter", "washing powder", "hidden"],
            ["mud", "patience", "a dry brush"],
            ["lipstick", "alcohol", "a clean cloth", "hidden"]
        ]
    },
    {
        name: "first aid",
        ask: [
            "I have {x}. What helps?",
            "My wife has {x}. What should we do?",
            "What is good for {x}?",
            "Can you help? My friend has {x}."
        ],
        polite: ["For {x}, please {a} and {b}.", "With {x} you should {a} and {b}."],
        curt: ["{A}, {b}.", "Just {a} and {b}."],
        rude: "Not my job.",
        careless: "Nobody ever died of it.",
        closing: "I hope you feel better soon!",
        openings: [
            "Good day{n}!",
            "Hello{n}, and thank you for asking.",
            "Of course{n}, let me help.",
            "I am sorry to hear that{n}."
        ],
        rows: [
            ["a bee sting", "pull out the sting", "cool it with ice", "doctor"],
            ["a sunburn", "stay in the shade", "use wet towels", "doctor"],
            ["a blister", "keep it dry", "use a soft plaster", "doctor"],
            ["a headache", "drink water", "rest in the dark", "doctor"],
            ["a burn", "hold it under cool water", "cover it loosely", "doctor"],
            ["a tick bite", "use tweezers", "pull it straight out", "doctor"],
            ["a nosebleed", "lean forward", "pinch the nose", "doctor"],
            ["a deep cut", "press a clean cloth on it", "hold it up", "doctor"],
            ["a cold", "drink hot tea", "sleep well"]
        ]
    },
    {
        name: "cooking",
        ask: [
            "How long should I cook the {x}?",
            "How do I cook {x} in the guest kitchen?",
            "We bought {x} at the market. How do we cook them?",
            "What is the best way to make {x}?"
        ],
        polite: ["You should cook the {x} for {a} {b}.", "The {x} need {a} {b}."],
        curt: ["{A} {b}.", "{B}, {a}."],
        rude: "Look it up.",
        careless: "Any time will do.",
        closing: "Enjoy your dinner!",
        rows: [
            ["mussels", "six minutes", "with the lid on", "closed"],
            ["chicken wings", "forty minutes", "in a hot oven", "pink"],
            ["sausages", "fifteen minutes", "in a pan", "pink"],
            ["red beans", "one hour", "in fresh water", "raw"],
            ["potatoes", "twenty minutes", "in salted water"],
            ["clams", "five minutes", "in white wine", "closed"],
            ["noodles", "eight minutes", "in a big pot"],
            ["pork ribs", "two hours", "on low heat", "pink"],
            ["forest mushrooms", "ten minutes", "in butter", "raw"]
        ]
    },
    {
        name: "place",
        ask: [
            "Where is the {x}?",
            "How do I find the {x}?",
            "I am looking for the {x}.",
            "Is there a {x} in the house?"
        ],
        polite: ["You will find the {x} {a}, {b}.", "The {x} is {a}, {b}."],
        curt: ["{A}, {b}.", "{B}, {a}."],
        rude: "There are signs.",
        careless: "Nothing ever happens there.",
        closing: "Enjoy your stay!",
        rows: [
            ["library", "on the first floor", "next to the clock"],
            ["laundry room", "in the cellar", "behind the wine rack", "stairs"],
            ["pool", "in the garden", "behind the hedge", "children"],
            ["roof terrace", "on the top floor", "through the glass door", "children"],
            ["breakfast room", "on the ground floor", "left of the desk"],
            ["bike shed", "in the yard", "under the big tree"],
            ["old jetty", "at the shore", "below the garden", "children"],
            ["wine cellar", "under the house", "behind the oak door", "stairs"],
            ["piano", "in the hall", "by the window"]
        ]
    },
    {
        name: "rental",
        ask: [
            "How much is it to rent a {x}?",
            "Can I rent a {x}?",
            "I need a {x}. What does it cost?",
            "Do you have a {x} for us?"
        ],
        polite: ["You can rent a {x} for {a} {b}.", "A {x} costs {a} {b}, and we have one for you."],
        curt: ["{A} {b}.", "{A}. {B}."],
        rude: "See the board.",
        careless: "Anyone can do it.",
        closing: "Have fun!",
        rows: [
            ["mountain bike", "18 euros", "a day", "helmet"],
            ["kayak", "9 euros", "an hour", "jacket"],
            ["rowing boat", "12 euros", "an hour", "jacket"],
            ["raincoat", "2 euros", "a day"],
            ["scooter", "30 euros", "a day", "helmet"],
            ["tent", "15 euros", "a night"],
            ["sailing boat", "80 euros", "a day", "jacket"],
            ["beach chair", "5 euros", "a day"],
            ["city bike", "10 euros", "a day", "helmet"]
        ]
    },
    ...deskTopics
];
