"""What Python's csv and json read of files, and files that they write.

    reference.py make DIR SEED      random files DIR/{text,csv,json}/random-N
    reference.py read FORMAT DIR    per file, as a line of JSON: its name, its records, how many are none

A record is [name, note or "", n]; of text, the line.
"""

import csv
import io
import json
import os
import random
import sys

csv.field_size_limit(1 << 30)
ALPHABET = ["a", "b", "é", "😀", " ", ",", ";", '"', "'", "\n", "\r\n", "\r", "\t", "#", "\0", "\\", "[", "{", "NA", "\ufeff", "\u2028"]


def text_of(rng):
    return "".join(rng.choice(ALPHABET) for _ in range(rng.choice([0, 1, 1, 3, 8, 40])))


def number(rng):
    return rng.choice([0.0, -0.0, 1.5, 1e300, -2.5e-300, rng.random(), float(rng.randrange(10**12)), 5e-324])


def entry(rng):
    return {"name": text_of(rng), "note": rng.choice([None, text_of(rng)]), "n": number(rng)}


def make_csv(rng, path):
    quoting = rng.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
    columns = rng.sample(["name", "note", "n", "more"], 4)
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=quoting, lineterminator=rng.choice(["\n", "\r\n"]))
    writer.writerow(columns)
    for _ in range(rng.randrange(60)):
        row = entry(rng) | {"more": text_of(rng)}
        row["note"] = row["note"] or ""
        if quoting == csv.QUOTE_MINIMAL:
            # Python quotes no carriage return that is alone, and so cannot read it back either.
            row = {key: value if key == "n" else value.replace("\r", "") for key, value in row.items()}
        writer.writerow([row[column] for column in columns])
    with open(path, "w", encoding=rng.choice(["utf-8", "utf-8-sig"]), newline="") as file:
        file.write(out.getvalue())


def make_json(rng, path):
    entries = [entry(rng) for _ in range(rng.randrange(40))]
    for item in entries:
        if item["note"] is None and rng.random() < 0.5:
            del item["note"]
    indent = rng.choice([None, None, 1, "\t"])
    ascii = rng.random() < 0.5
    dump = lambda value: json.dumps(value, indent=indent, ensure_ascii=ascii)
    text = dump(entries) if rng.random() < 0.5 else "\n".join(map(dump, entries))
    with open(path, "w", encoding=rng.choice(["utf-8", "utf-8-sig"]), newline="") as file:
        file.write(text + rng.choice(["", "\n", "\r\n"]))


def make_text(rng, path):
    lines = [text_of(rng).replace("\n", "").lstrip("\ufeff") for _ in range(rng.randrange(80))]
    with open(path, "w", encoding=rng.choice(["utf-8", "utf-8-sig"]), newline="") as file:
        file.write(rng.choice(["\n", "\r\n"]).join(lines))


def make(directory, seed):
    for format, one in [("text", make_text), ("csv", make_csv), ("json", make_json)]:
        for i in range(20):
            one(random.Random(f"{seed} {format} {i}"), os.path.join(directory, format, f"random-{i:02}"))


def shown(name, note, n):
    return [name, note or "", repr(float(n))]


def read_text(data):
    records, dead = [], 0
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for line in lines if lines[-1] else lines[:-1]:
        try:
            records.append(line.removesuffix(b"\r").decode())
        except UnicodeDecodeError:
            dead += 1
    return records, dead


def read_csv(data, dialect):
    records, dead = [], 0
    rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True, **dialect)
    header = [name.strip() for name in next(rows)]
    for row in rows:
        if not row:
            continue
        named = dict(zip(header, row))
        try:
            n = float(named["n"])
            if len(row) != len(header) or abs(n) == float("inf") and any(c.isdigit() for c in named["n"]):
                raise ValueError
            records.append(shown(named["name"], named.get("note"), n))
        except (KeyError, ValueError):
            dead += 1
    return records, dead


def read_json(data):
    records, dead = [], 0
    text, at, decoder = data.decode("utf-8-sig"), 0, json.JSONDecoder()
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        for item in value if isinstance(value, list) else [value]:
            try:
                n = item["n"]
                if isinstance(n, (str, bool)) or abs(n) == float("inf") or not isinstance(item["name"], str):
                    raise ValueError
                # Half of a surrogate pair is no text.
                item["name"].encode()
                records.append(shown(item["name"], item.get("note"), n))
            except (KeyError, TypeError, ValueError):
                dead += 1
    return records, dead


def read(format, directory, **dialect):
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as file:
            data = file.read()
        try:
            if format == "csv":
                records, dead = read_csv(data, dialect)
            else:
                records, dead = {"text": read_text, "json": read_json}[format](data)
        except Exception as error:
            records, dead = [], f"cannot be read: {error}"
        print(json.dumps({"file": name, "records": records, "dead": dead}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3])
    else:
        read(sys.argv[2], sys.argv[3], **dict(option.split("=", 1) for option in sys.argv[4:]))
