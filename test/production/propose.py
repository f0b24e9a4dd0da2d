"""`propose.py WORD SLOW…`: a researcher that turns the rate a little; its experiments SLOW train for 20 seconds."""

import json
import os
import re
import sys

word, *slow = sys.argv[1:]
number = os.environ["AUTORESEARCH_EXPERIMENT"]
with open("train.py") as file:
    text = file.read()
constants = {"RATE": f"1.{number}", "STEP_SECONDS": "1.0" if number in slow else "0.03"}
for name, value in constants.items():
    text = re.sub(rf"^{name} = \S+", f"{name} = {value}", text, flags=re.MULTILINE)
with open("train.py", "w") as file:
    file.write(text)
print(json.dumps({"title": f"{word} {number}", "hypothesis": f"{word}, once more"}))
