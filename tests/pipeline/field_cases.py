"""What is asked of the field's cases and of shelves like them, and what an answer must hold."""

from __future__ import annotations

from collections.abc import Mapping

# A case: the question, what its answer holds ("a&b" both, "a|b" one, None: it abstains), what it does not.
Case = tuple[str, str | None, str]

PRINTER = {
    "printer.md": "# Printer messages\n\nERR_504: The paper tray is empty. Fill it.\n\n"
    "ERR_5040: The toner is low. Order toner.\n\nERR_540: The cover is open. Close the cover.\n\n"
    "NET.12 means that the cable is unplugged.\n"
}
RELEASES = {
    "releases.md": "# Releases of the clock\n\nVersion 2.1.1 adds the night mode.\n\n"
    "Version 2.1.10 mends the alarm.\n\nVersion 2.11 drops the old radio.\n\n"
    "Part KX-7/B fits the grey case. Part KX-7/C fits the white case.\n"
}
BOATS = {
    "heron.md": "# Boat Heron\n\nBoat Heron costs 85.00 a day. It carries 6 people.\n\n"
    "Boat Heron has a cabin. It does not have a toilet.\n",
    "otter.md": "# Boat Otter\n\nBoat Otter costs 42.50 a day. It carries 3 people.\n\n"
    "Boat Otter has a toilet and a cabin.\n",
}
PLANS = {
    "plans.md": "# Plans\n\n## Basic\n\nThe Basic plan costs 9 euros a month and stores 20 GB.\n\n"
    "## Studio\n\nThe Studio plan costs 29 euros a month and stores 500 GB.\n\n"
    "## Campus\n\nThe Campus plan costs 15 euros a month and stores 100 GB.\n"
}
HOSES = {
    "hoses.md": "# Hoses\n\nThe K200 hose stands 12 bar.\n\nThe Porto office is led by Rui Sousa.\n",
    "halls.csv": "Hall,Door code\nHall 3,8812\nHall 7,4471\n",
}
BIKES = {
    "bikes.md": "# Bikes\n\nThe Kestrel bike weighs 11 kg.\n\nThe Merlin bike comes with a bell.\n",
    "lines.csv": "Tram,Last departure\nLine 2,23:10\nLine 6,23:55\n",
}
PUMP = {
    "pump.md": "# The pump\n\nTo start the pump, hold the lever and turn the key."
    " To stop the pump, let the lever go.\n"
}
CREW = {
    "crew.csv": "Name,Cabin,Duty\nAnouk,C4,cook\nBastian,C9,engineer\nCleo,D1,cook\n",
    "fees.md": "# Fees\n\n| Vessel | Berth | Power | Fee |\n|---|---|---|---|\n"
    "| Lugger | 14 | yes | 22.00 |\n| Ketch | 18 | no | 31.00 |\n",
}
STAFF = {
    "staff.jsonl": '{"id": "s1", "title": "Marta", "text": "Name: Marta\\nExtension: 221\\nFloor: 4"}\n'
    '{"id": "s2", "title": "Ilir", "text": "Name: Ilir\\nExtension: 309\\nFloor: 2"}\n',
    "soup.md": "# Soups\n\n| Day | Soup | Allergen |\n| --- | --- | --- |\n"
    "| Monday | Leek | milk |\n| Tuesday | Lentil | celery |\n",
}
STYLE = {
    "style.md": "# House style\n\nUse `<section>` for chapters. The tag `<details>` folds a text."
    " Never use `<font>`.\n"
}
TEMPLATES = {
    "templates.md": "# Templates\n\nPlace `<user-name/>` where the greeting goes."
    ' In XML, `<price currency="EUR">` holds the amount.\n'
}
PASSES = {
    "passes.md": "# Passes\n\nThe Day pass costs 12 euros and is valid for 24 hours.\n\n"
    "The Season pass costs 140 euros and is valid until October. It comes with a helmet.\n\n"
    "The Club pass costs 95 euros and lends two bicycles.\n",
    "halls.csv": "Hall,Seats,Keeper\nElm,40,Rui\nOak,12,Bo\n",
    "lock.txt": "To lock the bicycle, press the lever down. It clicks. To unlock it, turn the key left.\n",
}
SISTERS: list[tuple[Mapping[str, str], list[Case]]] = [
    (
        PRINTER,
        [
            ("ERR_504", "tray", "toner|cover"),
            ("What does err 5040 mean?", "toner", "tray|cover"),
            ("ERR-540 help", "cover", "tray"),
            ("NET.12?", "cable", "tray"),
            ("What does ERR_505 mean?", None, "tray|toner|cover"),
        ],
    ),
    (
        RELEASES,
        [
            ("What does version 2.1.1 add?", "night mode", "alarm|radio"),
            ("What is new in 2.1.10?", "alarm", "night|radio"),
            ("Which case does KX-7/C fit?", "white", "grey"),
            ("What is new in version 2.1.4?", None, "night|alarm|radio"),
        ],
    ),
    (
        BOATS,
        [
            ("Is Heron cheaper than Otter?", "85.00&42.50", ""),
            ("What is the difference in people between Heron and Otter?", "6&3", ""),
            ("Which boat carries the most people?", "Heron|6", ""),
            ("Which boats have a cabin?", "Heron&Otter", ""),
            ("Heron vs Otter day price", "85.00&42.50", ""),
        ],
    ),
    (
        PUMP,
        [
            ("How do I stop the pump?", "let the lever go", "turn the key"),
            ("How do I start the pump?", "turn the key", "let the lever go"),
            ("How do I start the pump and how do I stop it?", "turn the key&let the lever go", ""),
        ],
    ),
    (
        PLANS,
        [
            ("What does Basic cost compared with Studio?", "9 euros&29 euros", ""),
            ("Which plan stores the most?", "500", ""),
            ("Does Studio or Campus store more?", "500&100", ""),
        ],
    ),
    (
        HOSES,
        [
            ("How many bar does the K300 hose stand?", None, "12 bar"),
            ("What is the door code of Hall 5?", None, "8812|4471"),
            ("What is the door code of Hall 7?", "4471", "8812"),
            ("Who leads the Lisbon office?", None, "Rui"),
            ("Who leads the Porto office?", "Rui Sousa", ""),
        ],
    ),
    (
        BIKES,
        [
            ("How heavy is the Falcon bike?", None, "11 kg"),
            ("How heavy is the Kestrel bike?", "11 kg", ""),
            ("When does the Harbour tram leave last?", None, "23:"),
            ("When does the last tram of line 4 leave?", None, "23:"),
            ("When does the last tram of line 6 leave?", "23:55", "23:10"),
        ],
    ),
    (
        CREW,
        [
            ("Which cabin has Bastian?", "C9", "C4|D1"),
            ("What is the duty of Cleo?", "cook", "engineer"),
            ("What is the duty of the Dario?", None, "cook|engineer"),
            ("What is the duty of teh Bastain?", "engineer", "cook"),
            ("How much is the fee of the vessel Yawl?", None, "22.00|31.00"),
            ("What is the fee of a ketch?", "31.00", "22.00"),
            ("Which berth has the lugger?", "14", "18"),
        ],
    ),
    (
        STAFF,
        [
            ("What is the extension of Ilir?", "309", "221"),
            ("On which floor is Marta?", "4", "309"),
            ("Which soup is there on Tuesday?", "Lentil", "Leek"),
            ("Which allergen is in the leek soup?", "milk", "celery"),
        ],
    ),
    (
        STYLE,
        [
            ("What do I use for chapters?", "`<section>`", ""),
            ("Which tag folds a text?", "`<details>`", ""),
        ],
    ),
    (
        TEMPLATES,
        [
            ("What do I place where the greeting goes?", "`<user-name/>`", ""),
            ("Which XML element holds the amount?", '`<price currency="EUR">`', ""),
        ],
    ),
]
SISTERS.append(
    (
        PASSES,
        [
            ("Day pass or Season pass?", "12 euros&140 euros", ""),
            ("Should I take the Club pass or the Day pass?", "12 euros&95 euros", ""),
            ("Which pass is the cheapest?", "12", ""),
            ("What is the difference in hours between the Day pass and the Season pass?", "24 hours&140", ""),
            ("Is Elm or Oak larger?", "40&12", ""),
            ("Hi! And how do I lock the bicycle? Thanks!", "lever", "turn the key"),
        ],
    )
)
MENUS = {
    "menus.md": "# Menus\n\n| Menu | Energy | Price |\n|---|---|---|\n| Menu A | 620 kcal | 6.80 |\n"
    "| Menu B | 480 kcal | 5.90 |\n\n"
    "To cancel a menu, tick the grey box. To order a menu, tick the white box.\n",
    "staff.jsonl": '{"id": "1", "title": "Dr. Vane", "text": "Name: Dr. Vane\\nWard: 4B\\nPhone: 5512"}\n'
    '{"id": "2", "title": "Dr. Orme", "text": "Name: Dr. Orme\\nWard: 2A\\nPhone: 5530"}\n',
}
SISTERS.append(
    (
        MENUS,
        [
            ("What does Menu C cost?", None, "6.80|5.90"),
            ("What does Menu A cost?", "6.80", "5.90"),
            ("Which menu is cheaper, Menu A or Menu B?", "6.80&5.90", ""),
            ("Which menu has the most energy?", "- Menu: Menu A", ""),
            ("What is the phone of Dr. Kell?", None, "5512|5530"),
            ("What is the phone of Dr. Orme?", "5530", "5512"),
        ],
    )
)
GOATS = {
    "goats.csv": "Goat,Born,Milk,Stable\nLotte,2019,3.1 l,north\nMimi,2021,2.4 l,south\n"
    "Bella,2017,3.8 l,north\n",
    "rules.md": "# Goats\n\nGoats eat hay. Do not feed bread.\n\nTo milk a goat, wash the udder first.\n",
}
SISTERS.append(
    (
        GOATS,
        [
            ("which goat gives the most milk", "- Goat: Bella", "udder"),
            ("Which goat is the oldest?", "- Goat: Bella", ""),
            ("Lotte or Mimi?", "3.1&2.4", "3.8"),
        ],
    )
)
READ_BESIDE: list[Case] = [  # of PASSES, where the words alone are too few
    ("Which passes cost something?", "12&95&140", ""),
    ("How do I unlock the bicycle?", "turn the key left", "lever|clicks"),
    ("thanks, what does the Day pass cost?", "12 euros", "140"),
    ("who is teh keper of the hall Elm", "Rui", "Bo"),
]
TASKS: list[Case] = [  # of MENUS, likewise
    ("How do I cancel a menu?", "grey box", "white box"),
    ("How do I order a menu?", "white box", "grey box"),
    ("How do I order a menu and how do I cancel it?", "white box&grey box", ""),
]
SAMPLES = {
    "samples.md": "# Samples\n\nBefore thawing, label the tube. After thawing, keep it on ice.\n\n"
    "To thaw a sample, use the bath.\n\n## Defrost the freezer\n\n1. Pull the plug.\n2. Wipe it dry.\n",
}
THAWED: list[Case] = [
    ("What do I do before thawing?", "label the tube", "on ice|plug"),
    ("What do I do after thawing?", "on ice", "label the tube|plug"),
    ("How do I thaw a sample?", "bath", "plug"),
]
OF_THE_FIELD: dict[str, list[Case]] = {
    "codes": [
        ("What does F-2031 mean?", "fan", "lid|coin|link"),
        ("f2013", "lid", "fan|coin|link"),
        ("fault F-231 what to do", "coin box", "fan|lid|link"),
        ("LOG:NET/4", "link", "fan|lid|coin"),
        ("What does F-2310 mean?", None, "fan|lid|coin|link"),
    ],
    "compare": [
        ("Is Birch cheaper than Larch?", "30.00&55.00&[1]&[2]", ""),
        ("What is the difference in seats between Birch and Larch?", "14&48&[1]&[2]", ""),
        ("Which room has the most seats?", "Room Larch&48", ""),
        ("Which rooms have a projector?", "Birch&Larch", ""),
    ],
    "wrong-entity": [
        ("How long is the B30 booster covered?", None, "14"),
        ("When does the boat of Isle 9 leave?", None, "11:20|12:35"),
        ("When does the boat of Isle 4 leave?", "11:20", "12:35"),
    ],
    "row-answers": [
        ("Where is the spirit level?", "Spirit level&E31", ""),
        ("Who keeps the hacksaw?", "Hacksaw&Ines", ""),
        ("How many seats has room Elm?", "Elm&Seats: 40", ""),
    ],
    "tags-in-answers": [
        ("What do I use for keys of the keyboard?", "`<kbd>`&[1]", ""),
        ("Which tag draws a frame?", "`<table>`&[1]", ""),
    ],
}
