/**
 * The facts about Harbour House, the guesthouse of the demo: topics that guests ask about, the answers, and the
 * ways in which the desk may put them. Data only; `world.ts` turns it into prompts, replies and scores.
 *
 * In the sentences, `{x}` is the thing asked about, `{a}` and `{b}` are its facts. `{A}` is `{a}` with a capital.
 */

/** A caution. It counts as given when the reply holds its sign, a word that no other sentence of the topic uses. */
export interface Note {
    sign: string;
    texts: [string, string];
}

/** One thing that guests ask about: name, first fact, second fact, caution that the request calls for. */
export type Subject = [x: string, a: string, b: string, note?: keyof typeof notes];

export interface Topic {
    name: string;
    ask: string[];
    /** Full sentences that speak to the guest or name what was asked about. */
    polite: [string, string];
    /** The facts of `polite`, clipped. They never hold `{x}`, "you", "your", "please", "I" or "we". */
    curt: [string, string];
    /** A brusque opening that fits the topic. */
    rude: string;
    /** The words of a careless desk where a caution is called for. */
    careless?: string;
    closing: string;
    /** Courteous openings, where the usual ones do not fit; `{n}` is the guest's name with a comma before it. */
    openings?: string[];
    /** Courteous closings beside `closing`, where the usual ones do not fit. */
    closings?: string[];
    rows: Subject[];
}

export const notes = {
    early: {
        sign: "early",
        texts: [
            "Please be there ten minutes early, as the gate closes before it sails.",
            "Do come ten minutes early, because the boat will not wait."
        ]
    },
    coat: {
        sign: "coat",
        texts: [
            "Please take a warm coat, as the wind is strong up there.",
            "Do pack a coat, because the weather turns quickly."
        ]
    },
    tide: {
        sign: "tide",
        texts: [
            "Please go at low tide, as the sea covers the path.",
            "Do check the tide first, because the water comes in fast."
        ]
    },
    edge: {
        sign: "edge",
        texts: [
            "Please stay away from the edge, as the rocks are loose.",
            "Do keep back from the edge, because it is slippery."
        ]
    },
    kitchen: {
        sign: "the kitchen",
        texts: [
            "Please tell the kitchen about any allergy before you order.",
            "Do speak to the kitchen first, because traces can be in every dish."
        ]
    },
    fire: {
        sign: "never leave",
        texts: ["Please never leave it alone while it is hot.", "Do switch it off in time, and never leave it alone."]
    },
    window: {
        sign: "window",
        texts: ["Please open a window if you ever smell gas.", "Do keep a window open, because the room is small."]
    },
    unplug: {
        sign: "plug",
        texts: ["Please pull the plug before you clean it.", "Do take out the plug afterwards, because it stays hot."]
    },
    hidden: {
        sign: "hidden",
        texts: ["Please try it on a hidden corner first.", "Do test a hidden spot first, because some colours fade."]
    },
    doctor: {
        sign: "doctor",
        texts: [
            "Please see a doctor if it does not get better.",
            "Do call a doctor at once if you feel faint or unwell."
        ]
    },
    closed: {
        sign: "stay closed",
        texts: [
            "Please throw away any that stay closed.",
            "Do leave out the ones that stay closed, because they can make you ill."
        ]
    },
    pink: {
        sign: "pink",
        texts: [
            "Please check that no pink is left inside.",
            "Do cut one open first, because pink meat can make you ill."
        ]
    },
    raw: {
        sign: "raw",
        texts: ["Please never taste them raw.", "Do boil them well, because they are poisonous when raw."]
    },
    jacket: {
        sign: "life jacket",
        texts: [
            "Please wear the life jacket all the time.",
            "Do put on a life jacket, because the water is cold and deep."
        ]
    },
    helmet: {
        sign: "helmet",
        texts: ["Please wear the helmet that comes with it.", "Do put on a helmet, because the roads are steep."]
    },
    stairs: {
        sign: "steps",
        texts: ["Please mind the steps, as they are steep.", "Do hold on to the rail, because the steps are wet."]
    },
    children: {
        sign: "children",
        texts: [
            "Please do not let children go there alone.",
            "Do stay with your children, because nobody is on watch there."
        ]
    }
} satisfies Record<string, Note>;

/** Courteous openings: `{n}` is ", Anna" where the guest gave a name and nothing otherwise. */
export const openings = [
    "Good day{n}!",
    "Hello{n}, and thank you for asking.",
    "Of course{n}.",
    "Certainly{n}, I am happy to help.",
    "With pleasure{n}."
];

/** Courteous closings that fit every topic; each topic adds one of its own. */
export const closings = [
    "Just ask if you need anything else.",
    "I am always here if you need me.",
    "Have a lovely day!"
];

export const curtClosings = ["That is all.", "Next!", "Bye."];

export const guests = [
    "Anna Ben Clara David Elena Felix Grace Henry Iris Jonas Karin Leo",
    "Maria Nora Oscar Paula Robert Sofia Thomas Vera Walter Yusuf Mei Amir"
].flatMap((line) => line.split(" "));

/** How a question `{q}` is put, with or without the guest's name. */
export const frames = {
    named: ["Hello, this is {n}. {q}", "{n} here. {q}", "Good evening, my name is {n}. {q}", "{q} Thanks, {n}."],
    unnamed: ["{q}", "Excuse me. {q}", "Good morning. {q}", "{q} Thank you."]
};

/** Tables are booked by number of people, day and hour: every combination is a request of its own. */
export const booking = {
    people: ["two", "three", "four", "five", "six", "seven", "eight"],
    days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    hours: ["noon", "one", "six", "seven", "eight", "nine"]
};
