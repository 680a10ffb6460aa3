"""In every language of the marketplace, products are found by words as shoppers write them."""

from __future__ import annotations

import pytest

from tandem.contracts.search import Term
from tandem.queries.analysis import Analyser
from tandem.queries.languages import language_of

MARKET = ("en", "es", "pt", "fr", "de", "id", "ar", "ja", "ko", "zh")


def found(terms: tuple[Term, ...], document: list[str]) -> bool:
    """Most of the query's terms are there, as a search requires it."""
    hits = sum(any(f in document for f in t.forms) for t in terms)
    return hits >= len(terms) - len(terms) // 3


@pytest.mark.parametrize(
    ("language", "title", "query", "other"),
    [
        ("en", "Wireless Headphones for Running Shoes", "headphone runs", "kettle"),
        ("en", "Women's Café Mug 12oz", "womens cafe mugs 12 oz", "table"),
        ("es", "Zapatillas de correr para niños", "zapatilla niño", "lámpara"),
        ("es", "Lámpara de escritorio", "lamparas escritorio", "zapatos"),
        ("pt", "Fones de ouvido sem fio", "fone ouvido", "geladeira"),
        ("pt", "Televisão 55 polegadas", "televisao 55 polegadas", "sapato"),
        ("fr", "Écouteurs sans fil pour l'ordinateur", "ecouteur ordinateurs", "chaussure"),
        ("fr", "Crème L'Oréal pour le visage", "loreal creme", "écran"),
        ("de", "Kopfhörer für Kinder, rote Farbe", "kopfhorer kind rot", "tisch"),
        ("de", "Große Bücherregale 17 Zoll", "grosse bücherregal 17 zoll", "lampe"),
        ("id", "Sepatu lari untuk wanita", "sepatu lari", "kulkas"),
        ("id", "Mainan anak-anak berwarna merah", "mainan anak", "sepatu"),
        ("ar", "سَمَّاعة رأس لاسلكية أصلية", "سماعه اصليه", "كتاب"),
        ("ar", "الأحذية الرياضية للرجال", "أحذية رياضية", "هاتف"),
        ("ja", "Sony ワイヤレスイヤホン ノイズキャンセリング", "ワイヤレス イヤホン", "冷蔵庫"),
        ("ja", "東京西川 羽毛布団 シングル", "羽毛布団", "自転車"),
        ("ko", "삼성 무선이어폰 블루투스", "무선 이어폰", "냉장고"),
        ("ko", "어린이용 자전거를 위한 헬멧", "자전거 헬멧", "커피"),
        ("zh", "小米蓝牙耳机无线降噪", "蓝牙 耳机", "冰箱"),
        ("zh", "男士运动鞋跑步鞋", "运动鞋", "电视"),
    ],
)
@pytest.mark.parametrize("catalogue", ["its own language", "the whole market"])
def test_products_are_found_by_other_forms_of_their_words(
    language: str, title: str, query: str, other: str, catalogue: str
) -> None:
    analyser = Analyser((language,) if catalogue == "its own language" else MARKET)
    document = analyser.terms(title, language)
    assert found(analyser.query_terms(query), document)
    assert found(analyser.query_terms(query, language), document)
    assert not found(analyser.query_terms(other), document)


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("Sony WH-1000XM5 ワイヤレスヘッドホン ブラック", "sony wh1000xm5 ヘッドホン"),
        ("삼성 Galaxy S24 케이스", "galaxy s24 케이스"),
        ("Apple iPhone 15 手机壳 透明", "iPhone15手机壳"),
        ("Ｓｏｎｙ　カメラ　α7", "sony カメラ"),
        ("سماعة Bluetooth لاسلكية", "bluetooth سماعة"),
    ],
)
def test_mixed_scripts(title: str, query: str) -> None:
    analyser = Analyser(MARKET)
    assert found(analyser.query_terms(query), analyser.terms(title))


def test_a_part_of_a_compound_is_found_in_unspaced_scripts() -> None:
    analyser = Analyser(("ja", "zh"))
    document = analyser.terms("折りたたみ自転車用空気入れ", "ja")
    assert found(analyser.query_terms("自転車"), document)
    assert found(analyser.query_terms("空気入れ"), document)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("zapatos para el niño", "es"),
        ("lampe für den tisch", "de"),
        ("chaussures pour le sport", "fr"),
        ("the lamp for my desk", "en"),
        ("イヤホン", "ja"),
        ("耳机", "zh"),
        ("이어폰", "ko"),
        ("سماعة", "ar"),
        ("bluetooth", None),
    ],
)
def test_language_of_a_query(text: str, language: str | None) -> None:
    assert language_of(text, MARKET) == language


def test_han_characters_are_japanese_where_the_catalogue_is() -> None:
    assert language_of("冷蔵庫", ("ja", "en")) == "ja"
    assert language_of("冰箱", ("en",)) is None
