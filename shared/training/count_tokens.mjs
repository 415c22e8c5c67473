// Count tokens with the real vocabularies: JSON Lines {class, text} in, the same with o200k and cl100k out.
//   npm install gpt-tokenizer && node count_tokens.mjs < corpus.jsonl > counted.jsonl
import { createInterface } from "node:readline";
import { countTokens as cl100k } from "gpt-tokenizer/encoding/cl100k_base";
import { countTokens as o200k } from "gpt-tokenizer/encoding/o200k_base";

// Text that spells a special token is counted as text.
const asText = { disallowedSpecial: new Set() };
for await (const line of createInterface({ input: process.stdin })) {
  const row = JSON.parse(line);
  process.stdout.write(
    JSON.stringify({ ...row, o200k: o200k(row.text, asText), cl100k: cl100k(row.text, asText) }) + "\n",
  );
}
