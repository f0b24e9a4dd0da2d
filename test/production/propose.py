"""`propose.py WORD NUMBER=SECONDS…`: turns the rate a little; a step of experiment NUMBER takes SECONDS."""

import json
import os
import re
import sys

word, *pace = sys.argv[1:]
number = os.environ["AUTORESEARCH_EXPERIMENT"]
with open("train.py") as file:
    text = file.read()
seconds = dict(each.split("=") for each in pace)
constants = {"RATE": f"1.{number}", "STEP_SECONDS": seconds.get(number, "0.03")}
for name, value in constants.items():
    text = re.sub(rf"^{name} = \S+", f"{name} = {value}", text, flags=re.MULTILINE)
with open("train.py", "w") as file:
    file.write(text)
print(json.dumps({"title": f"{word} {number}", "hypothesis": f"{word}, once more"}))
