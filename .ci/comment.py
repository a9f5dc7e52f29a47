"""Put a report into a pull request as one comment, updated each time: .ci/comment.py REPORT MARK

MARK is the report's first line, by which the comment is found again. GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_API_URL as in a workflow,
PULL_REQUEST is the number. Where that is not allowed it says so and is no failure: the report is in the summary of the run, too.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

LONGEST = 65_000
"""Characters; GitHub takes 65,536."""
PAGE = 100
PAGES = 20


def main(report: Path, mark: str) -> None:
    """Update the comment that has the mark, or make one."""
    text = shortened(report.read_text(encoding="utf-8"))
    issues = f"/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    comments = f"{issues}/{int(os.environ['PULL_REQUEST'])}/comments"
    try:
        number = found(comments, mark)
        if number is None:
            call("POST", comments, text)
        else:
            call("PATCH", f"{issues}/comments/{number}", text)
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403, 404):
            raise
        sys.stdout.write(f"no permission to comment ({error.code}): the report is in the summary of the run\n")
        return
    sys.stdout.write("the report is a comment of the pull request\n")


def found(path: str, mark: str) -> int | None:
    """The number of the workflow's own comment with the mark, None where there is none."""
    for page in range(1, PAGES + 1):
        comments = call("GET", f"{path}?per_page={PAGE}&page={page}")
        for comment in comments:
            if comment["body"].startswith(mark) and comment["user"]["type"] == "Bot":
                return int(comment["id"])
        if len(comments) < PAGE:
            break
    return None


def call(method: str, path: str, body: str | None = None) -> list[dict]:
    """Ask GitHub."""
    request = urllib.request.Request(
        os.environ.get("GITHUB_API_URL", "https://api.github.com") + path,
        None if body is None else json.dumps({"body": body}).encode(),
        {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def shortened(text: str) -> str:
    """The report, cut where a comment may not be longer: what is folded away at its end goes first."""
    while len(text) > LONGEST and "<details>" in text:
        before, _, rest = text.rpartition("<details>")
        text = before + rest.partition("</details>")[2]
    note = "\n\nIt is longer than a comment may be; the summary of the run holds the rest.\n"
    return text if len(text) <= LONGEST else text[: LONGEST - len(note)] + note


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
