/** What the evidence prompts are about: everyday requests, more of them about trouble and plain facts than about joy. Data only. */
export interface Kind {
    /** `{x}` is a topic. */
    templates: readonly string[];
    /** One per line. */
    topics: string;
}

export const kinds: Readonly<Record<string, Kind>> = {
    scenes: {
        templates: [
            "Describe {x}.",
            "Describe {x} in three sentences.",
            "What does {x} look and feel like?",
            "Write a short paragraph that sets the scene: {x}.",
            "Help me picture {x} for a story I am writing."
        ],
        topics: `
a bus stop in the rain before dawn
an empty swimming pool in winter
the waiting room of a dentist
a market square after the stalls have closed
a motorway café at midnight
an abandoned railway station
a school corridor during an exam
a kitchen after a failed dinner party
the harbour on a foggy morning
a laundrette on a Sunday evening
a hospital ward at night
a flat on the day of moving out
a village during a power cut
a crowded underground train in August
an attic full of old furniture
a field after the harvest
a car park behind a supermarket
a beach the day after a storm
the office on the last day before it closes for good
a border crossing with a long queue
a farmyard in heavy mud
a library reading room
a river at low water
a street where the road is being dug up
a cold bedroom with a broken radiator
a workshop where clocks are repaired
a bakery at four in the morning
an airport lounge with a cancelled flight
a football pitch after a lost final
a greenhouse with wilted tomatoes
a mountain pass in the snow
a courtroom before the verdict
a corner shop that sells everything
a ferry deck in strong wind
a playground nobody uses any more
a desert road at noon`
    },
    stories: {
        templates: [
            "Tell me a short story about {x}.",
            "Write the opening of a story about {x}.",
            "Write a few lines about {x}.",
            "Make up a bedtime story about {x}.",
            "How would a story about {x} begin?"
        ],
        topics: `
a lighthouse keeper who loses a letter
two brothers who argue over a boat
a dog that waits at the wrong station
a thief who returns what he stole
a village whose well runs dry
a clockmaker who is always late
a girl who finds a wounded crow
a soldier on the last train home
a baker who forgets the salt
a ghost who is afraid of the dark
an old woman who refuses to sell her house
a boy who breaks his neighbour's window
a ship that never reached its port
a king whom nobody obeys
a translator who invents a word
a family that misses the last ferry
a painter who goes blind
a cat that moves in with strangers
a miner trapped for three days
a postman with a letter for a dead man
a robot that fails its first test
two rivals stuck in one lift
a gardener at war with a mole
a teacher on her worst day
a mountaineer who turns back
a cook who serves a queen cold soup
a taxi driver and a silent passenger
a librarian who burns a book
an orphan who inherits a debt
a shepherd in a thunderstorm
a violinist with a broken string
a spy who is bored by his work
a fisherman who catches a shoe
a child who gets lost at the fair
an astronaut who misses the rain
a judge who once broke the law`
    },
    opinions: {
        templates: [
            "What do you think of {x}?",
            "What would you say against {x}?",
            "Many people complain about {x}. Are they right?",
            "What are the drawbacks of {x}?",
            "Give me your view on {x} in a few sentences."
        ],
        topics: `
working from home
homework in primary school
tipping in restaurants
keeping cats indoors
fireworks on New Year's Eve
open-plan offices
self-checkout tills
night flights over cities
zoos
exams without books
paying with cash
mobile phones at the dinner table
private cars in the city centre
school uniforms
changing the clocks twice a year
reality television
fast fashion
cruise ships in small harbours
advertising aimed at children
wind turbines near villages
group projects at university
smart speakers in the bedroom
all-you-can-eat buffets
long commutes
leaf blowers
unpaid internships
second-hand furniture
surprise parties
electric scooters on pavements
loyalty cards
meetings before nine o'clock
bottled water
shops that open on Sundays
video calls with the camera on
gift cards as presents
artificial Christmas trees`
    },
    troubles: {
        templates: [
            "{x}. What should I do?",
            "{x}. Any advice?",
            "Please help me. {x}.",
            "{x}. Who should I talk to, and what do I say?",
            "{x}. What would you do first?"
        ],
        topics: `
My landlord will not repair the heating
I failed my driving test for the third time
My neighbour plays the drums at night
I forgot my best friend's birthday
My luggage has been lost on the way to Rome
My manager blames me for a mistake that I did not make
My sourdough never rises
I cannot sleep before exams
My laptop fell into the bath
I have been charged twice for one ticket
My sister and I have not spoken for a year
I burnt the dinner and the guests arrive in an hour
My son refuses to go to school
I am afraid of flying and must fly on Monday
My garden is full of slugs
I missed the deadline for my tax return
My flatmate never washes up
I spilt red wine on a borrowed dress
My team ignores what I say in meetings
I locked myself out of my flat
My dog is scared of thunder
I have lost my passport abroad
My car makes a grinding noise when it brakes
I lent money to a colleague and he does not pay it back
My tooth hurts and the dentist is closed
I was turned down for the job that I wanted
My roof leaks whenever it rains
I find mathematics harder than everybody else in my class
My wedding photographs are all out of focus
I get bitten by mosquitoes every night
My grandfather has stopped recognising me
I broke a vase in a museum
My phone battery is empty by noon
I feel lonely in a new city
My parcel says delivered but it is not here
I shouted at a customer today`
    },
    reviews: {
        templates: [
            "Write a review of {x}.",
            "Write a disappointed review of {x}.",
            "Write two honest sentences about {x} for a review site.",
            "Write a fair review of {x}, with good and bad points.",
            "Summarise what guests or buyers might criticise about {x}."
        ],
        topics: `
a hotel room with thin walls
a vacuum cleaner that is loud but strong
a seafood restaurant with slow service
a pair of hiking boots that let in water
a guided tour of an old prison
an alarm clock that is hard to set
a crime novel with a weak ending
a hairdresser who cut too much
a budget airline
a coffee machine that leaks
a campsite next to a motorway
a language course on the internet
a second-hand bicycle
a museum of agricultural machines
a film about a bank robbery
a mattress that smells of glue
a pizza that arrived cold
a theme park with long queues
a rain jacket
a train journey without heating
a concert in a sports hall
a printer that refuses cheap ink
a sushi bar at a railway station
a dentist who explains little
a tent for four people
a computer game full of errors
a taxi ride to the airport
a yoga class in a cold room
a garden chair that broke
a cheese shop in a side street
a play performed in the rain
a pair of wireless headphones
a boat trip with rough seas
a cookery book for students
a furniture shop with rude staff
a wrist watch that loses time`
    },
    letters: {
        templates: [
            "Write a short letter to {x}.",
            "Draft an email to {x}.",
            "How do I begin a message to {x}?",
            "Write a firm but polite note to {x}.",
            "Help me word a few sentences to {x}."
        ],
        topics: `
the council about a broken street lamp
a bank that closed my account by mistake
a neighbour whose dog barks all day
a tenant who pays too late
a teacher about a lost exercise book
an airline about a delay of nine hours
an old friend after a quarrel
an employer to hand in my notice
a builder who did not finish the bathroom
a cousin who is in hospital
the editor of a newspaper about an error
a landlord about mould in the bedroom
a customer whose order was damaged
a hotel where I left my glasses
a widow whom I hardly know
a gym that will not end my contract
a supplier who raised all prices
my flatmates about the noise
an insurance company that rejects my claim
a colleague who takes my lunch
the mayor about the closed swimming pool
a shop that sold me a faulty kettle
a guest who broke a lamp
a student who copied an essay
my grandmother about a cancelled visit
the post office about a missing parcel
a band that played too loudly
a school about the cold classrooms
a volunteer whom we cannot keep
a restaurant where I fell ill
a client who has not answered for weeks
the bus company about a rude driver
a publisher who refused my novel
the housing office about a long wait
a farmer whose sheep ate my roses
a referee after a hard match`
    },
    news: {
        templates: [
            "Write a short news report about {x}.",
            "Write a headline and one paragraph about {x}.",
            "Report on {x} for a local newspaper.",
            "Summarise for the radio what is known about {x}.",
            "Write what a reporter on the spot would say about {x}."
        ],
        topics: `
a flood in a market town
a strike of bus drivers
a fire in a furniture factory
a bridge that is closed for repairs
a burglary in a jewellery shop
a sudden frost that ruined the fruit harvest
the collapse of a stage at a festival
a rise in the price of bread
a missing hiker
a lorry that lost its load of paint
a football club that went bankrupt
an escaped bull
a vote on a new bypass
a heatwave in the north
a train that stood still for six hours
an oil spill near the coast
the last day of a cinema
a dispute over a village hall
a computer failure at the hospital
an avalanche above a ski resort
a shortage of doctors
a storm that tore off roofs
a recall of faulty car seats
a court case about a dog bite
a drought that empties the reservoirs
a factory that moves abroad
an earthquake that woke a city
a mistake in the election results
the theft of forty beehives
a new speed limit
an outbreak of flu in schools
a sunken fishing boat
a fine for a polluting dairy
the demolition of a tower block
a scam aimed at pensioners
a long wait for housing`
    },
    facts: {
        templates: [
            "Explain {x} in simple words.",
            "How would you explain {x} to a child?",
            "What should everybody know about {x}?",
            "Write a short paragraph on {x}.",
            "What do people often get wrong about {x}?"
        ],
        topics: `
how a refrigerator works
why bridges rust
the causes of the First World War
how vaccines protect against disease
why volcanoes erupt
how a mortgage works
what inflation does to savings
how sharks hunt
the plague in the Middle Ages
how a nuclear power station is cooled
why bread goes mouldy
how courts decide guilt
what acid rain is
how antibiotics lose their effect
the sinking of the Titanic
how a tax on sugar works
why soil erodes
how tornadoes form
how a smoke detector works
why languages die out
what a recession is
how poison ivy harms the skin
the fall of the Roman Empire
how a car engine burns fuel
how allergies develop
why tides change
what happens in bankruptcy
how ticks spread disease
how concrete hardens
the great fire of London
why coral reefs bleach
how spam filters decide
what causes migraines
how glaciers move
how a parliament passes a law
why batteries wear out`
    }
};
