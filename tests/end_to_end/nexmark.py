"""Answers the questions of examples/nexmark over a file of its events, and compares them with what the example says.

Usage: nexmark.py EVENTS.json DIR: DIR holds q0.csv to q22.csv, as `csv+stdout:` writes them.
"""

import csv
import json
import sys
from collections import Counter, defaultdict
from datetime import datetime

events = [json.loads(line) for line in open(sys.argv[1])]
persons = [(e["at"], e["person"]) for e in events if e["person"]]
auctions = [(e["at"], e["auction"]) for e in events if e["auction"]]
bids = [(e["at"], e["bid"]) for e in events if e["bid"]]
# q12 is of batches of a thousand events, in windows of ten batches.
arrived = [(number // 10_000, e["bid"]) for number, e in enumerate(events) if e["bid"]]
side = dict(csv.reader(open("examples/nexmark/side_input.csv")))
DAY = 86_400_000


def tumbling(rows, size):
    """Rows (time, value) by the window that they are in."""
    windows = defaultdict(list)
    for at, value in rows:
        windows[at // size * size].append((at, value))
    return windows


def sliding(rows, size, slide):
    windows = defaultdict(list)
    for at, value in rows:
        start = at // slide * slide
        while start > at - size:
            windows[start].append((at, value))
            start -= slide
    return windows


def klass(price):
    return 1 if price < 10_000 else 2 if price < 1_000_000 else 3


def winners():
    """Per auction with bids while it was open: the highest, of equal ones the first."""
    offers = defaultdict(list)
    for at, b in bids:
        offers[b["auction"]].append((-b["price"], at, b["bidder"]))
    for opened, a in auctions:
        valid = [o for o in offers[a["id"]] if opened <= o[1] <= a["expires"]]
        if valid:
            price, at, bidder = min(valid)
            yield a, -price, at, bidder


WON = list(winners())
OPENED = {a["id"]: at for at, a in auctions}


def q0():
    return [(b["auction"], b["bidder"], b["price"], b["channel"], b["url"], b["extra"]) for _, b in bids]


def q1():
    return [(b["auction"], b["bidder"], b["price"] * 0.908, at) for at, b in bids]


def q2():
    return [(b["auction"], b["price"]) for _, b in bids if b["auction"] % 123 == 0]


def q3():
    near = {p["id"]: p for _, p in persons if p["state"] in ("OR", "ID", "CA")}
    sold = [(near.get(a["seller"]), a["id"]) for _, a in auctions if a["category"] == 10]
    return [(p["name"], p["city"], p["state"], id) for p, id in sold if p]


def q4():
    prices = defaultdict(list)
    for a, price, _, _ in WON:
        prices[a["category"]].append(price)
    return [(category, sum(of) / len(of)) for category, of in prices.items()]


def q5():
    rows = []
    for start, of in sliding(bids, 10_000, 2000).items():
        counts = Counter(b["auction"] for _, b in of)
        most = max(counts.values())
        # The window of the results is that of the last two seconds.
        rows += [(start + 8000, start + 10_000, id, n) for id, n in counts.items() if n == most]
    return rows


def q6():
    sellers = defaultdict(list)
    for a, price, _, _ in WON:
        sellers[a["seller"]].append((a["expires"], a["id"], price))
    last = {seller: [price for *_, price in sorted(of)[-10:]] for seller, of in sellers.items()}
    return [(seller, sum(of) / len(of)) for seller, of in last.items()]


def q7():
    rows = []
    for start, of in tumbling(bids, 10_000).items():
        most = max(b["price"] for _, b in of)
        best = [b for _, b in of if b["price"] == most]
        rows += [(start, start + 10_000, b["auction"], b["bidder"], most) for b in best]
    return rows


def q8():
    sellers = {start: {a["seller"] for _, a in of} for start, of in tumbling(auctions, 10_000).items()}
    rows = []
    for start, of in tumbling(persons, 10_000).items():
        new = {(p["id"], p["name"]) for _, p in of}
        rows += [(start, start + 10_000, *p) for p in new if p[0] in sellers.get(start, ())]
    return rows


def sessions(times, gap):
    """Sorted times as (first, last + gap, how many)."""
    first, last, count = times[0], times[0], 0
    for at in times:
        if at - last >= gap:
            yield first, last + gap, count
            first, count = at, 0
        last, count = at, count + 1
    yield first, last + gap, count


def q9():
    """Beside the winner its window: a session of pairs, whose times are those of the bids."""
    offers = defaultdict(list)
    for at, b in bids:
        offers[b["auction"]].append(at)
    rows = []
    for a, price, at, bidder in WON:
        times = [t for t in offers[a["id"]] if OPENED[a["id"]] <= t <= a["expires"]]
        rows.append((min(times), max(times) + 21_000, a["id"], a["category"], a["seller"], a["expires"], price, at, bidder))
    return rows


def q10():
    return [(at, b["auction"], b["bidder"], b["price"]) for at, b in bids]


def q11():
    times = defaultdict(list)
    for at, b in bids:
        times[b["bidder"]].append(at)
    return [(first, end, who, n) for who, of in times.items() for first, end, n in sessions(sorted(of), 10_000)]


def q12():
    return [(who, n) for (_, who), n in Counter((window, b["bidder"]) for window, b in arrived).items()]


def q13():
    rows = [(b["auction"], b["bidder"], b["price"], side.get(str(b["auction"] % 100))) for _, b in bids]
    return [row for row in rows if row[3] is not None]


def q14():
    rows = []
    for at, b in bids:
        price, hour = b["price"] * 0.908, at // 3_600_000 % 24
        part = "day" if 8 <= hour <= 18 else "night" if hour <= 6 or hour >= 20 else "other"
        if 1_000_000 < price < 50_000_000:
            rows.append((b["auction"], b["bidder"], price, part, b["extra"].count("c")))
    return rows


def distinct(of, field, which=None):
    """How many different values; none of none."""
    found = {b[field] for _, b in of if which is None or klass(b["price"]) == which}
    return len(found) or None


def of_class(of, which):
    return sum(klass(b["price"]) == which for _, b in of)


def q15():
    return [
        (start, start + DAY, len(of), of_class(of, 1), of_class(of, 2), distinct(of, "bidder"), distinct(of, "bidder", 1),
         distinct(of, "bidder", 3), distinct(of, "auction"), distinct(of, "auction", 2))
        for start, of in tumbling(bids, DAY).items()
    ]


def daily(field):
    for start, of in tumbling(bids, DAY).items():
        groups = defaultdict(list)
        for at, b in of:
            groups[b[field]].append((at, b))
        for key, group in groups.items():
            yield start, start + DAY, key, group


def q16():
    return [
        (start, end, channel, max(at for at, _ in of) // 60_000, len(of), of_class(of, 1), of_class(of, 3),
         distinct(of, "bidder"), distinct(of, "bidder", 1), distinct(of, "auction"))
        for start, end, channel, of in daily("channel")
    ]


def q17():
    rows = []
    for start, end, auction, of in daily("auction"):
        prices = [b["price"] for _, b in of]
        rows.append((start, end, auction, len(of), of_class(of, 1), of_class(of, 2), of_class(of, 3), min(prices), max(prices),
                     sum(prices) / len(prices), sum(prices)))
    return rows


def q18():
    last = {}
    for at, b in bids:
        key = (b["bidder"], b["auction"])
        last[key] = max(last.get(key, (0, 0)), (at, b["price"]))
    return [(*key, *value) for key, value in last.items()]


def q19():
    prices = defaultdict(list)
    for _, b in bids:
        prices[b["auction"]].append((b["price"], b["bidder"]))
    best = {auction: sorted(of, reverse=True)[:10] for auction, of in prices.items()}
    return [(auction, rank + 1, *row) for auction, of in best.items() for rank, row in enumerate(of)]


def q20():
    known = {a["id"]: (a["item"], a["initial"], a["reserve"], a["seller"]) for _, a in auctions if a["category"] == 10}
    rows = [(b["auction"], b["bidder"], b["price"], known.get(b["auction"])) for _, b in bids]
    return [(id, bidder, price, *of) for id, bidder, price, of in rows if of]


def q21():
    numbers = {"Apple": "0", "Google": "1", "Facebook": "2", "Baidu": "3"}
    rows = []
    for _, b in bids:
        number = numbers.get(b["channel"]) or b["url"].partition("channel_id=")[2]
        rows.append((b["auction"], b["bidder"], b["price"], b["channel"], number))
    return rows


def q22():
    return [(b["auction"], b["bidder"], b["price"], b["channel"], *b["url"].split("/")[3:6]) for _, b in bids]


# Of what is so far, the last row of a key counts: the columns of the key.
RUNNING = {4: 1, 6: 1, 18: 2, 19: 2}


def text(value):
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def normal(field):
    """A float in one spelling, a date as milliseconds."""
    try:
        if field.endswith("Z"):
            return str(round(datetime.fromisoformat(field.replace("Z", "+00:00")).timestamp() * 1000))
        return repr(float(field)) if any(sign in field for sign in ".e") else field
    except ValueError:
        return field


failed = False
for number in range(23):
    with open(f"{sys.argv[2]}/q{number}.csv", newline="") as file:
        found = [tuple(normal(field) for field in row) for row in list(csv.reader(file))[1:]]
    if number in RUNNING:
        found = list({row[: RUNNING[number]]: row for row in found}.values())
    expected = [tuple(normal(text(value)) for value in row) for row in globals()[f"q{number}"]()]
    found, expected = Counter(found), Counter(expected)
    if not expected:
        failed = True
        print(f"q{number}: the events have no answer")
    if found != expected:
        failed = True
        print(f"q{number}: {sum(found.values())} rows, expected {sum(expected.values())}")
        print("  not expected:", list((found - expected).items())[:3])
        print("  missing:     ", list((expected - found).items())[:3])
sys.exit(failed)
