"""BERT-type models as ONNX graphs, built from their weights without torch.

The body is the encoder of Devlin et al. (2019), written in ONNX Runtime's fused transformer
operators. On top of it an encoder has pooling and L2 normalisation as in Reimers & Gurevych (2019),
a cross-encoder one output over the pooled first token as in Nogueira & Cho (2019). Graphs are
quantised dynamically to int8 (per channel, reduced range: safe on processors without VNNI).
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput

CONTRIB = "com.microsoft"


class _Graph:
    """Collects nodes and weights of a graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, name: str, value: np.ndarray) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **options: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **options))
        return output


def pooling_of(directory: Path) -> str:
    """`mean` or `cls`, as the model's own pooling configuration says (default: mean).

    InvalidInput for any other pooling.
    """
    path = directory / "1_Pooling" / "config.json"
    if not path.exists():
        return "mean"
    values = json.loads(path.read_text(encoding="utf-8"))
    prefix = "pooling_mode_"
    chosen = {k.removeprefix(prefix) for k, v in values.items() if k.startswith(prefix) and v}
    # Newer files name the mode instead.
    if isinstance(mode := values.get("pooling_mode"), str):
        chosen = {mode}
    if chosen and chosen <= {"cls_token", "cls"}:
        return "cls"
    if chosen <= {"mean_tokens", "mean"}:
        return "mean"
    raise _unsupported(path, f"pooling by {' and '.join(sorted(chosen))}")


def check(directory: Path) -> dict[str, Any]:
    """The model's configuration; InvalidInput when the graphs here would compute it wrongly."""
    path = directory / "config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if config.get("model_type") != "bert":
        raise _unsupported(path, f"a model of type '{config.get('model_type')}'")
    if config.get("hidden_act", "gelu") != "gelu":
        raise _unsupported(path, f"activation by {config['hidden_act']}")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise _unsupported(path, f"{config['position_embedding_type']} positions")
    modules = directory / "modules.json"
    if modules.exists():
        names = {m["type"].rsplit(".", 1)[-1] for m in json.loads(modules.read_text())}
        if others := names - {"Transformer", "Pooling", "Normalize"}:
            raise _unsupported(modules, f"a model with {', '.join(sorted(others))}")
    return config


def _unsupported(file: Path, what: str) -> InvalidInput:
    return InvalidInput(
        f"{what} cannot be converted",
        file=str(file),
        remedy="install the neural extra: pip install 'tandem-commerce[neural]'",
    )


def build(directory: Path, target: Path) -> int:
    """Write the float32 graph of the encoder in `directory` to `target`; returns its dimension.

    directory: config.json and model.safetensors of a BERT model. InvalidInput for other types.
    Inputs `ids` and `mask`, (b, t) int32; output `vector`, (b, d) float32 of length 1.
    """
    config, tensors = _read(directory)
    hidden = int(config["hidden_size"])
    graph = _Graph()
    states = _body(graph, tensors, config, segments=False)
    _pooled(graph, states, pooling_of(directory), hidden)
    _save(graph, ("ids", "mask"), "vector", hidden, target)
    return hidden


def build_cross(directory: Path, target: Path) -> None:
    """Write the float32 graph of the cross-encoder in `directory` to `target`.

    directory: config.json and model.safetensors of a BERT classifier with one output.
    InvalidInput for other types. Inputs `ids`, `segments` (0 query, 1 product) and `mask`, (b, t)
    int32; output `score`, (b, 1) float32: the logit of relevance.
    """
    config, tensors = _read(directory)
    if "classifier.weight" not in tensors or len(tensors["classifier.weight"]) != 1:
        raise InvalidInput(
            "not a cross-encoder with one output",
            file=str(directory / "model.safetensors"),
            remedy="train one with: tandem train cross-encoder",
        )
    graph = _Graph()
    states = _body(graph, tensors, config, segments=True)
    start = _first(graph, states, int(config["hidden_size"]), "start")
    pooled = graph.node("MatMul", [start, _weight(graph, tensors, "pooler.dense")], "pooled_w")
    bias = graph.weight("pooler.dense.b", tensors["pooler.dense.bias"])
    pooled = graph.node("Tanh", [graph.node("Add", [pooled, bias], "pooled_b")], "pooled")
    logit = graph.node("MatMul", [pooled, _weight(graph, tensors, "classifier")], "score_w")
    graph.node("Add", [logit, graph.weight("classifier.b", tensors["classifier.bias"])], "score")
    _save(graph, ("ids", "segments", "mask"), "score", 1, target)


def _read(directory: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Configuration and weights, named as in a bare BERT."""
    from safetensors.numpy import load_file

    config = check(directory)
    raw = load_file(directory / "model.safetensors")
    return config, {k.removeprefix("bert."): v.astype(np.float32) for k, v in raw.items()}


def _save(graph: _Graph, inputs: tuple[str, ...], output: str, width: int, target: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bert",
            [helper.make_tensor_value_info(n, TensorProto.INT32, ["b", "t"]) for n in inputs],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["b", width])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)],
        ir_version=8,
    )
    onnx.save(model, str(target))


def _body(
    graph: _Graph, w: dict[str, np.ndarray], config: dict[str, Any], *, segments: bool
) -> str:
    """The states of the last layer, (b, t, hidden). Without segments all tokens are of type 0,
    whose embedding is then part of the positions."""
    from onnx import helper

    epsilon = float(config.get("layer_norm_eps", 1e-12))
    positions, types = (
        w[f"embeddings.{kind}_embeddings.weight"] for kind in ("position", "token_type")
    )
    # Two outputs: the embeddings and the mask index that attention needs.
    graph.nodes.append(
        helper.make_node(
            "EmbedLayerNormalization",
            [
                "ids",
                "segments" if segments else "",
                graph.weight("words", w["embeddings.word_embeddings.weight"]),
                graph.weight("positions", positions if segments else positions + types[0]),
                graph.weight("types", types) if segments else "",
                graph.weight("embed_g", w["embeddings.LayerNorm.weight"]),
                graph.weight("embed_b", w["embeddings.LayerNorm.bias"]),
                "mask",
            ],
            ["x0", "mask_index"],
            domain=CONTRIB,
            epsilon=epsilon,
        )
    )
    x = "x0"
    for i in range(int(config["num_hidden_layers"])):
        x = _layer(graph, w, i, x, int(config["num_attention_heads"]), epsilon)
    return x


def _layer(
    graph: _Graph, w: dict[str, np.ndarray], i: int, x: str, heads: int, epsilon: float
) -> str:
    at = f"encoder.layer.{i}."
    parts = [f"{at}attention.self.{n}" for n in ("query", "key", "value")]
    weight = np.concatenate([w[f"{p}.weight"].T for p in parts], axis=1)
    bias = np.concatenate([w[f"{p}.bias"] for p in parts])
    inputs = [x, graph.weight(f"qkv{i}", weight), graph.weight(f"qkv_b{i}", bias), "mask_index"]
    a = graph.node("Attention", inputs, f"attention{i}", domain=CONTRIB, num_heads=heads)
    y = _residual(graph, w, f"{at}attention.output", f"attended{i}", a, x, epsilon)
    h = graph.node("MatMul", [y, _weight(graph, w, f"{at}intermediate.dense")], f"wide{i}")
    h_bias = graph.weight(f"wide_b{i}", w[f"{at}intermediate.dense.bias"])
    h = graph.node("BiasGelu", [h, h_bias], f"gelu{i}", domain=CONTRIB)
    return _residual(graph, w, f"{at}output", f"x{i + 1}", h, y, epsilon)


def _weight(graph: _Graph, w: dict[str, np.ndarray], name: str) -> str:
    return graph.weight(f"{name}.w", w[f"{name}.weight"].T)


def _residual(
    graph: _Graph,
    w: dict[str, np.ndarray],
    name: str,
    output: str,
    x: str,
    skip: str,
    epsilon: float,
) -> str:
    """LayerNorm(skip + x·W + b)."""
    projected = graph.node("MatMul", [x, _weight(graph, w, f"{name}.dense")], f"{output}_p")
    return graph.node(
        "SkipLayerNormalization",
        [
            projected,
            skip,
            graph.weight(f"{name}.g", w[f"{name}.LayerNorm.weight"]),
            graph.weight(f"{name}.b", w[f"{name}.LayerNorm.bias"]),
            graph.weight(f"{name}.d", w[f"{name}.dense.bias"]),
        ],
        output,
        domain=CONTRIB,
        epsilon=epsilon,
    )


def _pooled(graph: _Graph, x: str, pooling: str, hidden: int) -> None:
    from onnx import TensorProto

    if pooling == "cls":
        pooled = _first(graph, x, hidden, "pooled")
    else:
        # Padding is 0 after the mask; the norm that follows makes a sum as good as a mean.
        mask = graph.node("Cast", ["mask"], "mask_f", to=TensorProto.FLOAT)
        axis2 = graph.weight("axis2", np.array([2], np.int64))
        wide = graph.node("Unsqueeze", [mask, axis2], "mask_wide")
        masked = graph.node("Mul", [x, wide], "masked")
        axis1 = graph.weight("axis1", np.array([1], np.int64))
        pooled = graph.node("ReduceSum", [masked, axis1], "pooled", keepdims=0)
    graph.node("LpNormalization", [pooled], "vector", axis=1, p=2)


def _first(graph: _Graph, x: str, hidden: int, output: str) -> str:
    """The state of the first token, (b, hidden)."""
    start = graph.weight("first", np.array([0], np.int64))
    state = graph.node("Gather", [x, start], f"{output}_state", axis=1)
    # Says the shape as well, which the runtime cannot infer through its own operators.
    shape = graph.weight("shape", np.array([-1, hidden], np.int64))
    return graph.node("Reshape", [state, shape], output)


def quantise(source: Path, target: Path) -> None:
    """Write the int8 version of a float32 graph."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # On the root logger the library advises every caller to optimise the graph first.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(
            str(source),
            str(target),
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["MatMul", "Attention"],
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
    finally:
        logging.disable(before)
