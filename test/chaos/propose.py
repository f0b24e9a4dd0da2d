"""A researcher that follows a script: what it changes depends on the experiment's number alone."""

import json
import os
import re
import time

SECONDS = 0.3  # long enough to be killed in

number = int(os.environ["AUTORESEARCH_EXPERIMENT"])
with open("train.py") as file:
    text = file.read()
kind = number % 8
if kind == 5:
    title, text = (
        "a candidate that crashes",
        text.replace("def main():", f"def main():\n    raise SystemExit('no {number}')", 1),
    )
elif kind == 7:
    title = "against the rules: a file is made executable"
    os.chmod("train.py", 0o755)
else:
    title = f"rate {1 + number % 12}, try {number}"
    text = re.sub(r"^RATE = \S+", f"RATE = {1 + number % 12}", text, flags=re.MULTILINE)
    text += f"TRY = {number}\n"  # a comment would not make it another candidate
with open("train.py", "w") as file:
    file.write(text)
time.sleep(SECONDS)
print(json.dumps({"title": title, "hypothesis": f"script, line {number}"}))
