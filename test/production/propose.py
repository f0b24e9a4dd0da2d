"""`propose.py WORD NUMBER…`: turns the rate a little; experiment NUMBER is held at its first step."""

import json
import os
import re
import sys

word, *held = sys.argv[1:]
number = os.environ["AUTORESEARCH_EXPERIMENT"]
with open("train.py") as file:
    text = file.read()
constants = {"RATE": f"1.{number}", "HELD": number in held}
for name, value in constants.items():
    text = re.sub(rf"^{name} = \S+", f"{name} = {value}", text, flags=re.MULTILINE)
with open("train.py", "w") as file:
    file.write(text)
print(json.dumps({"title": f"{word} {number}", "hypothesis": f"{word}, once more"}))
