#!/usr/bin/env python3
"""Makes common-passwords.txt from the list that README.md beside it names.

    python3 common-passwords.py package/src/passwords.json > common-passwords.txt

The list goes from the most frequent password to rarer ones.
"""

import json
import sys

# Shorter ones cannot become a password by themselves; they are stems: "dragon" refuses "dragon2024".
SHORT = range(4, 8)
MOST_FREQUENT_SHORT = 8000

with open(sys.argv[1], encoding="utf-8") as file:
    words = json.load(file)

words = [word for word in words if word.isascii() and word.isprintable() and " " not in word]
short = [word for word in words if len(word) in SHORT][:MOST_FREQUENT_SHORT]
long = [word for word in words if len(word) >= SHORT.stop]
print("\n".join(sorted({word.lower() for word in short + long})))
