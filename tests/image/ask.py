"""Asks a running sidecar one question and prints what the answer took. Standard library only."""

import http.client
import json

connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
question = {"model": "llama3.3-70b", "messages": [{"role": "user", "content": "What is 12 times 7?"}]}
connection.request("POST", "/v1/chat/completions", json.dumps(question), {"Content-Type": "application/json"})
response = connection.getresponse()
body = response.read().decode()
assert response.status == 200, body
reply = json.loads(body)
assert reply["choices"][0]["message"]["content"], body
assert reply["usage"]["completion_tokens"] > 0, body
print(f"{reply['cepo_cerebras']['calls']} calls, {reply['usage']['total_tokens']} tokens")
