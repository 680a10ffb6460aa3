"""Words of the simulated shop in ten languages, written by hand.

The lists are parallel: the n-th noun of every language names the n-th of `CATEGORIES`, and so on.
A noun may have another word for the same thing after `|`. Grammar is kept simple: adjectives do not
agree with nouns in gender, as in many real listings.
"""

# Lists of words read better in long lines, and East Asian characters count double.
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

DEPARTMENTS = ("electronics", "home", "kitchen", "fashion", "beauty", "sports", "toys", "office")
_CATEGORIES = """
electronics: headphones speaker smartphone laptop tablet camera television smartwatch charger case
home: lamp chair table sofa mattress pillow blanket
kitchen: pan knife kettle coffee_maker blender
fashion: shirt dress trousers jacket shoes handbag
beauty: lipstick shampoo face_cream perfume
sports: bicycle football yoga_mat tent
toys: puzzle doll
office: notebook backpack
"""
DEPARTMENT_OF = {
    category: department
    for department, _, categories in (
        line.partition(": ") for line in _CATEGORIES.strip().splitlines()
    )
    for category in categories.split()
}
CATEGORIES = tuple(DEPARTMENT_OF)


@dataclass(frozen=True)
class Lexicon:
    """The words of one language. `title` orders the parts of a title; `space` joins words."""

    language: str
    departments: str
    nouns: str
    adjectives: str
    colours: str
    materials: str
    labels: str
    title: str
    space: str = " "

    @cached_property
    def department_names(self) -> tuple[str, ...]:
        return tuple(self.departments.split(", "))

    @cached_property
    def noun_forms(self) -> tuple[tuple[str, ...], ...]:
        """For each category the words for it, the usual one first."""
        return tuple(tuple(noun.split("|")) for noun in self.nouns.split(", "))

    @cached_property
    def adjective_list(self) -> tuple[str, ...]:
        return tuple(self.adjectives.split(", "))

    @cached_property
    def colour_list(self) -> tuple[str, ...]:
        return tuple(self.colours.split(", "))

    @cached_property
    def material_list(self) -> tuple[str, ...]:
        return tuple(self.materials.split(", "))

    @cached_property
    def label_list(self) -> tuple[str, ...]:
        """How the language says "material" and "colour"."""
        return tuple(self.labels.split(", "))


_BEFORE = "{brand} {series} {adjective}{space}{noun}{colour}{model}"
_AFTER = "{noun} {adjective} {brand} {series}{colour}{model}"

_ALL = (
    Lexicon(
        "en",
        "Electronics, Home, Kitchen, Fashion, Beauty, Sports, Toys, Office",
        "headphones|earphones, speaker|loudspeaker, smartphone|mobile phone, laptop|notebook computer, "
        "tablet|tablet computer, camera|digital camera, television|tv, smartwatch|smart watch, "
        "charger|power adapter, phone case|phone cover, lamp|light, chair|seat, table|desk, "
        "sofa|couch, mattress|bed mattress, pillow|cushion, blanket|throw, frying pan|skillet, "
        "kitchen knife|chef knife, kettle|water boiler, coffee maker|coffee machine, "
        "blender|mixer, shirt|tee, dress|gown, trousers|pants, jacket|coat, shoes|sneakers, "
        "handbag|purse, lipstick|lip colour, shampoo|hair wash, face cream|moisturiser, "
        "perfume|fragrance, bicycle|bike, football|soccer ball, yoga mat|exercise mat, "
        "tent|camping tent, puzzle|jigsaw, doll|toy doll, notebook|writing pad, backpack|rucksack",
        "portable, lightweight, waterproof, compact, premium, soft, modern, classic, durable, elegant",
        "black, white, red, blue, green, grey, pink, brown",
        "steel, wood, cotton, leather, plastic, glass, wool, aluminium",
        "Material, Colour",
        _BEFORE,
    ),
    Lexicon(
        "es",
        "Electrónica, Hogar, Cocina, Moda, Belleza, Deportes, Juguetes, Oficina",
        "auriculares|cascos, altavoz|bocina, teléfono inteligente|móvil, portátil|ordenador portátil, "
        "tableta|tablet, cámara|cámara digital, televisor|televisión, reloj inteligente|smartwatch, "
        "cargador|adaptador de corriente, funda de móvil|carcasa, lámpara|luz, silla|asiento, "
        "mesa|escritorio, sofá|sillón, colchón|colchón de cama, almohada|cojín, manta|cobija, "
        "sartén|paellera, cuchillo de cocina|cuchillo, hervidor|tetera, cafetera|máquina de café, "
        "licuadora|batidora, camisa|camiseta, vestido|traje, pantalón|pantalones, chaqueta|abrigo, "
        "zapatos|zapatillas, bolso|cartera, pintalabios|labial, champú|shampoo, "
        "crema facial|hidratante, perfume|fragancia, bicicleta|bici, balón de fútbol|pelota, "
        "esterilla de yoga|colchoneta, tienda de campaña|carpa, rompecabezas|puzle, "
        "muñeca|muñeca de juguete, cuaderno|libreta, mochila|morral",
        "portátil, ligero, impermeable, compacto, prémium, suave, moderno, clásico, resistente, "
        "elegante",
        "negro, blanco, rojo, azul, verde, gris, rosa, marrón",
        "acero, madera, algodón, cuero, plástico, vidrio, lana, aluminio",
        "Material, Color",
        _AFTER,
    ),
    Lexicon(
        "pt",
        "Eletrônicos, Casa, Cozinha, Moda, Beleza, Esportes, Brinquedos, Escritório",
        "fones de ouvido|auscultadores, caixa de som|alto-falante, smartphone|celular, "
        "notebook|computador portátil, tablet|tablete, câmera|câmera digital, televisão|televisor, "
        "relógio inteligente|smartwatch, carregador|adaptador, capa de celular|capinha, "
        "luminária|abajur, cadeira|assento, mesa|escrivaninha, sofá|estofado, colchão|colchão de cama, "
        "travesseiro|almofada, cobertor|manta, frigideira|panela, faca de cozinha|faca, "
        "chaleira|fervedor, cafeteira|máquina de café, liquidificador|batedeira, camisa|camiseta, "
        "vestido|traje, calça|calças, jaqueta|casaco, sapatos|tênis, bolsa|carteira, "
        "batom|cor labial, xampu|champô, creme facial|hidratante, perfume|fragrância, "
        "bicicleta|bike, bola de futebol|bola, tapete de ioga|colchonete, barraca|tenda, "
        "quebra-cabeça|puzzle, boneca|boneca de brinquedo, caderno|bloco, mochila|bolsa escolar",
        "portátil, leve, impermeável, compacto, premium, macio, moderno, clássico, resistente, "
        "elegante",
        "preto, branco, vermelho, azul, verde, cinza, rosa, marrom",
        "aço, madeira, algodão, couro, plástico, vidro, lã, alumínio",
        "Material, Cor",
        _AFTER,
    ),
    Lexicon(
        "fr",
        "Électronique, Maison, Cuisine, Mode, Beauté, Sport, Jouets, Bureau",
        "casque audio|écouteurs, enceinte|haut-parleur, téléphone|smartphone, "
        "ordinateur portable|portable, tablette|tablette tactile, appareil photo|caméra, "
        "téléviseur|télé, montre connectée|smartwatch, chargeur|adaptateur secteur, "
        "coque de téléphone|étui, lampe|luminaire, chaise|siège, table|bureau, canapé|sofa, "
        "matelas|matelas de lit, oreiller|coussin, couverture|plaid, poêle|sauteuse, "
        "couteau de cuisine|couteau, bouilloire|théière, cafetière|machine à café, "
        "mixeur|blender, chemise|t-shirt, robe|tenue, pantalon|jean, veste|manteau, "
        "chaussures|baskets, sac à main|sacoche, rouge à lèvres|baume coloré, "
        "shampooing|soin lavant, crème visage|hydratant, parfum|eau de toilette, vélo|bicyclette, "
        "ballon de football|ballon, tapis de yoga|tapis de sport, tente|tente de camping, "
        "puzzle|casse-tête, poupée|poupon, cahier|carnet, sac à dos|cartable",
        "portable, léger, imperméable, compact, haut de gamme, doux, moderne, classique, robuste, "
        "élégant",
        "noir, blanc, rouge, bleu, vert, gris, rose, marron",
        "acier, bois, coton, cuir, plastique, verre, laine, aluminium",
        "Matière, Couleur",
        _AFTER,
    ),
    Lexicon(
        "de",
        "Elektronik, Wohnen, Küche, Mode, Schönheit, Sport, Spielzeug, Büro",
        "Kopfhörer|Ohrhörer, Lautsprecher|Box, Smartphone|Handy, Laptop|Notebook, "
        "Tablet|Tablet-PC, Kamera|Digitalkamera, Fernseher|Fernsehgerät, Smartwatch|Computeruhr, "
        "Ladegerät|Netzteil, Handyhülle|Schutzhülle, Lampe|Leuchte, Stuhl|Sessel, "
        "Tisch|Schreibtisch, Sofa|Couch, Matratze|Bettmatratze, Kopfkissen|Kissen, Decke|Wolldecke, "
        "Bratpfanne|Pfanne, Küchenmesser|Kochmesser, Wasserkocher|Teekessel, "
        "Kaffeemaschine|Kaffeeautomat, Standmixer|Mixer, Hemd|Shirt, Kleid|Abendkleid, "
        "Hose|Jeans, Jacke|Mantel, Schuhe|Turnschuhe, Handtasche|Damentasche, "
        "Lippenstift|Lippenfarbe, Shampoo|Haarwäsche, Gesichtscreme|Feuchtigkeitscreme, "
        "Parfüm|Duft, Fahrrad|Rad, Fußball|Ball, Yogamatte|Gymnastikmatte, Zelt|Campingzelt, "
        "Puzzle|Geduldspiel, Puppe|Spielpuppe, Notizbuch|Schreibheft, Rucksack|Tagesrucksack",
        "tragbar, leicht, wasserdicht, kompakt, hochwertig, weich, modern, klassisch, robust, elegant",
        "schwarz, weiß, rot, blau, grün, grau, rosa, braun",
        "Stahl, Holz, Baumwolle, Leder, Kunststoff, Glas, Wolle, Aluminium",
        "Material, Farbe",
        "{brand} {series} {noun} {adjective}{colour}{model}",
    ),
    Lexicon(
        "id",
        "Elektronik, Rumah, Dapur, Mode, Kecantikan, Olahraga, Mainan, Kantor",
        "headphone|earphone, speaker|pengeras suara, ponsel pintar|hp, laptop|komputer jinjing, "
        "tablet|komputer tablet, kamera|kamera digital, televisi|tv, jam tangan pintar|smartwatch, "
        "pengisi daya|charger, casing hp|sarung hp, lampu|lentera, kursi|bangku, meja|meja tulis, "
        "sofa|kursi tamu, kasur|matras tidur, bantal|bantal sofa, selimut|selimut tidur, "
        "wajan|penggorengan, pisau dapur|pisau, ketel|teko listrik, mesin kopi|pembuat kopi, "
        "blender|pelumat, kemeja|kaos, gaun|terusan, celana|celana panjang, jaket|mantel, "
        "sepatu|sepatu kets, tas tangan|dompet, lipstik|pewarna bibir, sampo|pencuci rambut, "
        "krim wajah|pelembap, parfum|pewangi, sepeda|sepeda kayuh, bola sepak|bola, "
        "matras yoga|alas yoga, tenda|tenda kemah, puzzle|teka-teki gambar, boneka|boneka mainan, "
        "buku catatan|buku tulis, ransel|tas punggung",
        "portabel, ringan, tahan air, ringkas, premium, lembut, modern, klasik, tahan lama, elegan",
        "hitam, putih, merah, biru, hijau, abu-abu, merah muda, cokelat",
        "baja, kayu, katun, kulit, plastik, kaca, wol, aluminium",
        "Bahan, Warna",
        _AFTER,
    ),
    Lexicon(
        "ar",
        "إلكترونيات, المنزل, المطبخ, أزياء, جمال, رياضة, ألعاب, مكتب",
        "سماعات رأس|سماعات, مكبر صوت|سبيكر, هاتف ذكي|جوال, حاسوب محمول|لابتوب, جهاز لوحي|تابلت, "
        "كاميرا|آلة تصوير, تلفاز|تلفزيون, ساعة ذكية|ساعة رقمية, شاحن|محول طاقة, غطاء هاتف|جراب, "
        "مصباح|لمبة, كرسي|مقعد, طاولة|مكتب, أريكة|كنبة, مرتبة|فراش, وسادة|مخدة, بطانية|لحاف, "
        "مقلاة|طاسة, سكين مطبخ|سكين, غلاية|إبريق, ماكينة قهوة|صانعة قهوة, خلاط|عصارة, "
        "قميص|تيشيرت, فستان|ثوب, بنطال|سروال, سترة|معطف, حذاء|أحذية رياضية, حقيبة يد|شنطة, "
        "أحمر شفاه|روج, شامبو|غسول شعر, كريم وجه|مرطب, عطر|بخاخ عطري, دراجة|دراجة هوائية, "
        "كرة قدم|كرة, سجادة يوغا|بساط رياضة, خيمة|خيمة تخييم, أحجية|بازل, دمية|عروسة, "
        "دفتر|كراسة, حقيبة ظهر|شنطة ظهر",
        "محمول, خفيف, مقاوم للماء, صغير, فاخر, ناعم, عصري, كلاسيكي, متين, أنيق",
        "أسود, أبيض, أحمر, أزرق, أخضر, رمادي, وردي, بني",
        "فولاذ, خشب, قطن, جلد, بلاستيك, زجاج, صوف, ألمنيوم",
        "المادة, اللون",
        _AFTER,
    ),
    Lexicon(
        "ja",
        "家電, 住まい, キッチン, ファッション, 美容, スポーツ, おもちゃ, オフィス",
        "ヘッドホン|イヤホン, スピーカー|拡声器, スマートフォン|スマホ, ノートパソコン|ラップトップ, "
        "タブレット|タブレット端末, カメラ|デジタルカメラ, テレビ|液晶テレビ, スマートウォッチ|腕時計, "
        "充電器|電源アダプター, スマホケース|スマホカバー, ランプ|照明, 椅子|チェア, テーブル|机, "
        "ソファ|長椅子, マットレス|敷布団, 枕|クッション, 毛布|ブランケット, フライパン|炒め鍋, "
        "包丁|キッチンナイフ, やかん|電気ケトル, コーヒーメーカー|珈琲機, ミキサー|ブレンダー, "
        "シャツ|ティーシャツ, ワンピース|ドレス, ズボン|パンツ, ジャケット|上着, 靴|スニーカー, "
        "ハンドバッグ|手提げ鞄, 口紅|リップ, シャンプー|洗髪料, フェイスクリーム|保湿クリーム, "
        "香水|フレグランス, 自転車|バイク, サッカーボール|ボール, ヨガマット|運動マット, "
        "テント|キャンプテント, パズル|ジグソー, 人形|ドール, ノート|手帳, リュックサック|バックパック",
        "携帯用, 軽量, 防水, コンパクト, 高級, 柔らか, モダン, 定番, 丈夫, 上品",
        "黒, 白, 赤, 青, 緑, 灰色, 桃色, 茶色",
        "鋼, 木製, 綿, 革, 樹脂, ガラス, 羊毛, アルミ",
        "素材, 色",
        _BEFORE,
        space="",
    ),
    Lexicon(
        "ko",
        "전자제품, 생활, 주방, 패션, 뷰티, 스포츠, 장난감, 사무용품",
        "헤드폰|이어폰, 스피커|확성기, 스마트폰|휴대폰, 노트북|랩톱, 태블릿|태블릿 피시, "
        "카메라|디지털 카메라, 텔레비전|티비, 스마트워치|손목시계, 충전기|전원 어댑터, "
        "휴대폰 케이스|폰 커버, 램프|조명, 의자|체어, 테이블|책상, 소파|카우치, 매트리스|침대 매트, "
        "베개|쿠션, 담요|블랭킷, 프라이팬|볶음팬, 식칼|주방칼, 주전자|전기포트, "
        "커피메이커|커피머신, 믹서기|블렌더, 셔츠|티셔츠, 원피스|드레스, 바지|팬츠, 재킷|외투, "
        "신발|운동화, 핸드백|손가방, 립스틱|립컬러, 샴푸|헤어 워시, 얼굴 크림|보습제, "
        "향수|프래그런스, 자전거|바이크, 축구공|공, 요가 매트|운동 매트, 텐트|캠핑 텐트, "
        "퍼즐|직소, 인형|돌, 노트|공책, 배낭|백팩",
        "휴대용, 가벼운, 방수, 소형, 고급, 부드러운, 현대적인, 클래식, 튼튼한, 우아한",
        "검정, 흰색, 빨강, 파랑, 초록, 회색, 분홍, 갈색",
        "강철, 목재, 면, 가죽, 플라스틱, 유리, 양모, 알루미늄",
        "소재, 색상",
        _BEFORE,
    ),
    Lexicon(
        "zh",
        "电子产品, 家居, 厨房, 时尚, 美容, 运动, 玩具, 办公",
        "耳机|头戴式耳机, 音箱|扬声器, 智能手机|手机, 笔记本电脑|手提电脑, 平板电脑|平板, "
        "相机|数码相机, 电视|电视机, 智能手表|腕表, 充电器|电源适配器, 手机壳|手机套, 台灯|灯具, "
        "椅子|座椅, 桌子|书桌, 沙发|长沙发, 床垫|垫子, 枕头|靠枕, 毯子|毛毯, 煎锅|平底锅, "
        "菜刀|厨刀, 水壶|电热水壶, 咖啡机|咖啡壶, 搅拌机|榨汁机, 衬衫|上衣, 连衣裙|长裙, "
        "裤子|长裤, 夹克|外套, 鞋子|运动鞋, 手提包|女包, 口红|唇膏, 洗发水|香波, 面霜|保湿霜, "
        "香水|香氛, 自行车|单车, 足球|球, 瑜伽垫|健身垫, 帐篷|露营帐篷, 拼图|益智拼图, "
        "娃娃|洋娃娃, 笔记本|记事本, 背包|双肩包",
        "便携, 轻便, 防水, 小巧, 高档, 柔软, 现代, 经典, 耐用, 优雅",
        "黑色, 白色, 红色, 蓝色, 绿色, 灰色, 粉色, 棕色",
        "钢, 木, 棉, 皮革, 塑料, 玻璃, 羊毛, 铝",
        "材质, 颜色",
        _BEFORE,
        space="",
    ),
)

LEXICONS = {lexicon.language: lexicon for lexicon in _ALL}
LANGUAGES = tuple(LEXICONS)
