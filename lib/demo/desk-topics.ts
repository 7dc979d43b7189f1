import {booking, type Subject, type Topic} from "./guesthouse.js";

const tables: Subject[] = booking.people.flatMap((people) =>
    booking.days.flatMap((day) =>
        booking.hours.map((hour): Subject => [`${people} on ${day} at ${hour}`, people, `${day} at ${hour}`])
    )
);

/** Tables to be booked, guests who have just arrived, and what the desk cannot know. */
export const deskTopics: Topic[] = [
    {
        name: "table",
        ask: [
            "Can I book a table for {x}?",
            "I would like a table for {x}.",
            "Is there a free table for {x}?",
            "Please keep a table for {x}."
        ],
        polite: ["Your table for {a} on {b} is booked.", "I have booked a table for {a} on {b}."],
        curt: ["{B}, {a} people.", "{A} people, {b}."],
        rude: "If it must be.",
        closing: "See you then!",
        rows: tables
    },
    {
        name: "arrival",
        ask: ["I have just arrived.", "I have a question.", "Can you help me?", "Is anyone there?", "Hello!"],
        polite: ["How can I help you today?", "What can I do for you?"],
        curt: ["What is it?", "What now?"],
        rude: "One moment.",
        closing: "Welcome to Harbour House!",
        closings: ["It is good to see you.", "Please take your time."],
        openings: ["Good day{n}!", "Hello{n}, and welcome.", "Of course{n}."],
        rows: [["arrival", "how|what", ""]]
    },
    {
        name: "beyond",
        ask: ["Do you know {x}?", "Can you tell me {x}?", "I wonder {x}.", "Could you find out {x}?"],
        polite: ["I am sorry, but I do not know {x}.", "I am afraid I do not know {x}, but the town office may."],
        curt: ["No idea.", "Who knows."],
        rude: "How odd.",
        closing: "Good luck in finding out!",
        openings: ["Good day{n}!", "Hello{n}, and thank you for asking.", "That is a good question{n}."],
        rows: [
            ["who won the football match", "know|knows|idea", ""],
            ["what the weather will be next week", "know|knows|idea", ""],
            ["who the king of Spain is", "know|knows|idea", ""],
            ["how much gold costs", "know|knows|idea", ""],
            ["what is on at the cinema", "know|knows|idea", ""],
            ["why the sky is blue", "know|knows|idea", ""],
            ["how to repair my phone", "know|knows|idea", ""],
            ["when the moon rises", "know|knows|idea", ""]
        ]
    }
];
