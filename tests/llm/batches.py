"""OpenAI's files and batches on top of the test server."""

import json
import re
from typing import Any

from tests.llm.server import Call, Server


class BatchServer(Server):
    """Ends each batch as `ends` says after `polls` looks at it; `broken` requests (by their number in the batch) fail with a status."""

    def __init__(self, polls: int = 2, ends: str = "completed", broken: dict[int, tuple[int, str]] | None = None, **rest: Any) -> None:
        super().__init__(**rest)
        self.polls, self.ends, self.broken = polls, ends, broken or {}
        self.files: dict[str, str] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.looks: dict[str, int] = {}

    def made(self) -> list[str]:
        """Paths that made something."""
        return [call.path for call in self.calls if call.method == "POST"]

    def answer(self, call: Call) -> str:
        parts = call.path.split("?")[0].removeprefix("/v1/").split("/")
        if parts[0] == "files":
            return self.file(call, parts)
        if parts[0] == "batches":
            return json.dumps(self.batch(call, parts))
        return super().answer(call)

    def file(self, call: Call, parts: list[str]) -> str:
        if call.method == "GET":
            return self.files[parts[1]]
        found = re.search(r"filename=\"requests.jsonl\".*?\r\n\r\n(.*?)\r\n--", call.text, re.DOTALL)
        assert found
        name = f"file-{len(self.files)}"
        self.files[name] = found[1]
        return json.dumps(
            {"id": name, "object": "file", "bytes": 1, "created_at": 0, "filename": "x", "purpose": "batch", "status": "processed"}
        )

    def batch(self, call: Call, parts: list[str]) -> dict[str, Any]:
        if call.method == "POST":
            name = f"batch_{len(self.batches)}"
            wanted = call.body
            self.batches[name] = {
                "id": name,
                "object": "batch",
                "endpoint": wanted["endpoint"],
                "input_file_id": wanted["input_file_id"],
                "completion_window": "24h",
                "status": "validating",
                "created_at": 0,
                "metadata": wanted["metadata"],
            }
            return self.batches[name]
        if len(parts) == 1:
            return {"object": "list", "data": list(self.batches.values()), "has_more": False}
        found = self.batches[parts[1]]
        self.looks[parts[1]] = self.looks.get(parts[1], 0) + 1
        if self.looks[parts[1]] > self.polls and found["status"] == "validating":
            self.finish(found)
        return found

    def finish(self, batch: dict[str, Any]) -> None:
        batch["status"] = self.ends
        if self.ends == "failed":
            batch["errors"] = {"object": "list", "data": [{"message": "line 1: no such model", "code": "model_not_found"}]}
            return
        good, bad = [], []
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        for number, line in enumerate(reversed(lines)):
            if self.ends == "expired" and number % 2:
                continue
            status, message = self.broken.get(len(lines) - 1 - number, (200, ""))
            call = Call("POST", line["url"], {}, json.dumps(line["body"]))
            body = json.loads(super().answer(call)) if status == 200 else {"error": {"message": message}}
            row = {"custom_id": line["custom_id"], "response": {"status_code": status, "body": body}, "error": None}
            (good if status == 200 else bad).append(json.dumps(row))
        self.files[f"out-{batch['id']}"], self.files[f"err-{batch['id']}"] = "\n".join(good), "\n".join(bad)
        batch |= {"output_file_id": f"out-{batch['id']}", "error_file_id": f"err-{batch['id']}" if bad else None}
