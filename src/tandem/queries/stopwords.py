"""Words that say nothing about a product, left out of queries (never out of products)."""

from __future__ import annotations

STOP_WORDS: dict[str, str] = {
    "en": (
        "a an and are as at be by for from in is it of on or that the this to with your "
        "you our w i me my some any"
    ),
    "es": "el la los las un una unos unas de del para por con y o en que mi tu su al",
    "pt": "o a os as um uma de do da dos das para por com e ou em que meu no na",
    "fr": "le la les un une des de du d l pour par avec et ou en dans que mon au aux",
    "de": (
        "der die das den dem des ein eine einen einem für mit und oder im in am an von "
        "zu zum zur auf"
    ),
    "id": "yang untuk dan di ke dari dengan atau ini itu pada",
    "ar": "من في على إلى و أو مع عن هذا هذه",
    "ja": "の に を は が と で も",
    "ko": "의 을 를 이 가 은 는 에 와 과",
    "zh": "的 和 与 在",
    "it": "il lo la i gli le un una di da per con e o in",
    "nl": "de het een van voor met en of in op",
}
