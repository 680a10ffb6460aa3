"""Compare your own pipeline with the built-in ones on human judgments.

make demo                                  # once, or: tandem demo --no-serve
.venv/bin/python examples/compare_rankers.py demo-icecat
"""

import sys

import tandem

shop = tandem.open(sys.argv[1] if len(sys.argv) > 1 else "demo-icecat")
judgments = shop.judgment_list()

# A pipeline is an expression: weigh words and meaning, keep the best 100, let the model reorder.
mine = ((shop.bm25 * 0.6 + shop.dense * 0.4) % 100 >> shop.reranker).named("mine")

result = tandem.evaluate(
    [shop.bm25, shop.hybrid, mine], judgments, ["nDCG@10", "R@100"], baseline=0
)
for system in result.systems:
    for measure, e in system.estimates.items():
        print(f"{system.name:8} {measure:8} {e.mean:.3f} [{e.low:.3f}, {e.high:.3f}]")
print("Note: the demo's model has learned from these very queries, so 'mine' looks too good here.")
for warning in result.warnings:
    print("Note:", warning)
print("\nWhere it does worst:")
for query in result.worst("mine", "nDCG@10", 5):
    print(f"  {query.values['mine']:.3f}  {query.query}")
shop.close()
