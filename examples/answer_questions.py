"""Answer a file of questions through an OpenAI-compatible server, or any other way: replace `ask`.

    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/answer_questions.py questions.jsonl answers.jsonl

Needs nothing but Python. It adds to the answers that are there, so it may be stopped and run again.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

AT_ONCE = 8


def ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the server says, a refusal with its words included, or what went wrong on the way, as OpenAI's batch API would say it."""
    base, mark, query = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1").partition("?")
    address = base.rstrip("/") + url.removeprefix("/v1") + mark + query
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', 'none')}"}
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=600)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return {"response": {"status_code": answer.status, "body": json.load(answer)}, "error": None}
    except (OSError, ValueError) as error:
        return {"response": None, "error": {"message": str(error)}}


def main(questions: Path, answers: Path) -> None:
    """Ask what has no answer yet; a line for each, the moment it is there."""
    done = set()
    if answers.exists():
        rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").split("\n") if line]
        done = {row["custom_id"] for row in rows if row["response"] and row["response"]["status_code"] == 200}
    waiting = [json.loads(line) for line in questions.read_text(encoding="utf-8").split("\n") if line]
    waiting = [line for line in waiting if line["custom_id"] not in done]
    with answers.open("a", encoding="utf-8") as file, ThreadPoolExecutor(AT_ONCE) as pool:
        for line, answer in zip(waiting, pool.map(lambda line: ask(line["url"], line["body"]), waiting), strict=True):
            file.write(json.dumps({"custom_id": line["custom_id"], **answer}) + "\n")
            file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
