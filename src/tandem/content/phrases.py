"""What briefs and captions say besides facts, by language.

`{name}`, `{kind}`, `{asked}`, `{first}` and `{rest}` stand for what comes of the listing and of
what shoppers type. No sentence praises: a test holds every language to the claim check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Scenes = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Phrases:
    """Sentences of one language. tag: the hashtag that says that it is paid for. hooks: what to
    say and to show, for a question, a demonstration and a fact. scenes: name, show, say."""

    language: str
    tag: str
    product: str
    hooks: tuple[tuple[str, str], ...]
    scenes: Scenes
    do: tuple[str, str, str]
    dont: tuple[str, str, str]
    disclosure: str
    captions: tuple[str, str, str]
    unknown: Mapping[str, str]


def phrases(language: str | None) -> Phrases:
    """Those of a language; English where there are none."""
    return _OF.get(language or "en", _OF["en"])


LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt")
_ALL = (
    Phrases(
        language="en",
        tag="ad",
        product="product",
        hooks=(
            (
                "Looking for {asked}? Have a look at this.",
                "your face, then the product moving into the picture",
            ),
            ("Watch what it does.", "the {kind} in use, close up, in the first two seconds"),
            (
                "This is what the listing says: {first}.",
                "the part of the product that shows it",
            ),
        ),
        scenes=(
            (
                "hook",
                "one of the three hooks; the product is in the picture from the start",
                "the hook's sentence, and no greeting before it",
            ),
            (
                "what it is",
                "the product whole, then in your hand for its size",
                "This is the {name}.",
            ),
            (
                "in use",
                "what you really do with it, without a cut where it matters",
                "Show, then say: {first}.",
            ),
            ("details", "write on the picture: {asked}", "Also: {rest}."),
            (
                "who it is for",
                "you, the product, and where to find it",
                "Say for whom it is, and for whom it is not.",
            ),
        ),
        do=(
            "say what you noticed yourself, and that it is your own impression",
            "say and show the words that shoppers type: {words}",
            "tell viewers at the start that it is paid for",
        ),
        dont=(
            "state anything that is not among the facts",
            "promise results, health effects, prices of tomorrow or the last pieces",
            "compare with another brand by name",
        ),
        disclosure="Switch on the platform's label for paid content, or put #{tag} at the start of "
        "the caption.",
        captions=(
            "#{tag} Looking for {asked}? {name} – {told}.",
            "#{tag} I tried the {name}. {first}. What would you use it for?",
            "#{tag} {name} in half a minute: {last}.",
        ),
        unknown={
            "price": "the price",
            "stock": "whether it is in stock",
            "attributes": "material, size and other properties",
        },
    ),
    Phrases(
        language="de",
        tag="werbung",
        product="Produkt",
        hooks=(
            (
                "Suchst du {asked}? Sieh dir das an.",
                "dein Gesicht, dann kommt das Produkt ins Bild",
            ),
            ("Schau, was passiert.", "{kind} in Gebrauch, von nahem, in den ersten zwei Sekunden"),
            (
                "Das steht in der Beschreibung: {first}.",
                "der Teil des Produkts, an dem man es sieht",
            ),
        ),
        scenes=(
            (
                "Einstieg",
                "einer der drei Einstiege; das Produkt ist von Anfang an im Bild",
                "der Satz des Einstiegs, ohne Begrüßung davor",
            ),
            (
                "was es ist",
                "das ganze Produkt, dann in deiner Hand, damit man die Größe sieht",
                "Das hier: {name}.",
            ),
            (
                "im Gebrauch",
                "was du wirklich damit machst, ohne Schnitt dort, wo es darauf ankommt",
                "Erst zeigen, dann sagen: {first}.",
            ),
            ("Einzelheiten", "schreib ins Bild: {asked}", "Außerdem: {rest}."),
            (
                "für wen",
                "du, das Produkt, und wo man es findet",
                "Sag, für wen es etwas ist und für wen nicht.",
            ),
        ),
        do=(
            "sag, was dir selbst aufgefallen ist, und dass es dein Eindruck ist",
            "sag und zeig die Wörter, nach denen gesucht wird: {words}",
            "sag gleich am Anfang, dass es bezahlt ist",
        ),
        dont=(
            "etwas sagen, das nicht unter den Angaben steht",
            "Wirkungen, Gesundheit, künftige Preise oder Knappheit versprechen",
            "mit einer anderen Marke vergleichen",
        ),
        disclosure="Schalte die Kennzeichnung der Plattform für bezahlte Inhalte ein, oder setz "
        "#{tag} an den Anfang.",
        captions=(
            "#{tag} Auf der Suche nach {asked}? {name} – {told}.",
            "#{tag} Ausprobiert: {name}. {first}. Wofür würdest du es nehmen?",
            "#{tag} {name} in einer halben Minute: {last}.",
        ),
        unknown={
            "price": "den Preis",
            "stock": "ob es vorrätig ist",
            "attributes": "Material, Größe und andere Eigenschaften",
        },
    ),
    Phrases(
        language="fr",
        tag="publicité",
        product="produit",
        hooks=(
            (
                "Vous cherchez {asked} ? Regardez ceci.",
                "votre visage, puis le produit entre dans l'image",
            ),
            (
                "Regardez ce qui se passe.",
                "{kind} en situation, de près, dans les deux premières secondes",
            ),
            ("Voici ce que dit la fiche : {first}.", "la partie du produit où cela se voit"),
        ),
        scenes=(
            (
                "accroche",
                "une des trois accroches ; le produit est à l'image dès le début",
                "la phrase de l'accroche, sans salutation avant",
            ),
            (
                "ce que c'est",
                "le produit entier, puis dans votre main pour sa taille",
                "Voici : {name}.",
            ),
            (
                "en usage",
                "ce que vous en faites vraiment, sans coupe au moment important",
                "Montrez, puis dites : {first}.",
            ),
            ("détails", "écrivez à l'image : {asked}", "Aussi : {rest}."),
            (
                "pour qui",
                "vous, le produit, et où le trouver",
                "Dites pour qui c'est fait, et pour qui non.",
            ),
        ),
        do=(
            "dites ce que vous avez remarqué, et que c'est votre impression",
            "dites et montrez les mots que l'on tape : {words}",
            "dites dès le début que c'est payé",
        ),
        dont=(
            "affirmer ce qui n'est pas dans les faits",
            "promettre des effets, la santé, des prix à venir ou la rareté",
            "comparer avec une autre marque",
        ),
        disclosure="Activez la mention de la plateforme pour les contenus payés, ou mettez #{tag} "
        "au début.",
        captions=(
            "#{tag} Vous cherchez {asked} ? {name} – {told}.",
            "#{tag} Essai : {name}. {first}. Vous l'utiliseriez pour quoi ?",
            "#{tag} {name} en une demi-minute : {last}.",
        ),
        unknown={
            "price": "le prix",
            "stock": "la disponibilité",
            "attributes": "la matière, la taille et d'autres propriétés",
        },
    ),
    Phrases(
        language="es",
        tag="publicidad",
        product="producto",
        hooks=(
            ("¿Buscas {asked}? Mira esto.", "tu cara, y luego el producto entra en la imagen"),
            ("Mira lo que pasa.", "{kind} en uso, de cerca, en los dos primeros segundos"),
            ("Esto dice la ficha: {first}.", "la parte del producto donde se ve"),
        ),
        scenes=(
            (
                "gancho",
                "uno de los tres ganchos; el producto está en la imagen desde el principio",
                "la frase del gancho, sin saludo antes",
            ),
            ("qué es", "el producto entero, y en tu mano por el tamaño", "Esto es: {name}."),
            (
                "en uso",
                "lo que haces de verdad con él, sin corte en el momento importante",
                "Enseña, y luego di: {first}.",
            ),
            ("detalles", "escribe en la imagen: {asked}", "También: {rest}."),
            (
                "para quién",
                "tú, el producto, y dónde encontrarlo",
                "Di para quién es, y para quién no.",
            ),
        ),
        do=(
            "di lo que has notado, y que es tu impresión",
            "di y enseña las palabras que se buscan: {words}",
            "di al principio que está pagado",
        ),
        dont=(
            "afirmar lo que no está entre los datos",
            "prometer efectos, salud, precios futuros o escasez",
            "comparar con otra marca",
        ),
        disclosure="Activa la etiqueta de la plataforma para contenido pagado, o pon #{tag} al "
        "principio.",
        captions=(
            "#{tag} ¿Buscas {asked}? {name} – {told}.",
            "#{tag} Probado: {name}. {first}. ¿Para qué lo usarías?",
            "#{tag} {name} en medio minuto: {last}.",
        ),
        unknown={
            "price": "el precio",
            "stock": "si hay existencias",
            "attributes": "el material, el tamaño y otras propiedades",
        },
    ),
    Phrases(
        language="it",
        tag="pubblicità",
        product="prodotto",
        hooks=(
            ("Cerchi {asked}? Guarda qui.", "il tuo viso, poi il prodotto entra nell'immagine"),
            ("Guarda che cosa succede.", "{kind} in uso, da vicino, nei primi due secondi"),
            ("Ecco che cosa dice la scheda: {first}.", "la parte del prodotto dove si vede"),
        ),
        scenes=(
            (
                "inizio",
                "uno dei tre inizi; il prodotto è nell'immagine da subito",
                "la frase dell'inizio, senza saluti prima",
            ),
            ("che cos'è", "il prodotto intero, poi in mano per la misura", "Questo è: {name}."),
            (
                "in uso",
                "quello che ci fai davvero, senza tagli nel momento importante",
                "Mostra, poi di': {first}.",
            ),
            ("dettagli", "scrivi sull'immagine: {asked}", "Inoltre: {rest}."),
            (
                "per chi",
                "tu, il prodotto, e dove si trova",
                "Di' per chi è, e per chi no.",
            ),
        ),
        do=(
            "di' che cosa hai notato, e che è una tua impressione",
            "di' e mostra le parole che si cercano: {words}",
            "di' all'inizio che è pagato",
        ),
        dont=(
            "affermare quello che non è tra i dati",
            "promettere effetti, salute, prezzi futuri o scarsità",
            "confrontare con un'altra marca",
        ),
        disclosure="Attiva l'etichetta della piattaforma per i contenuti pagati, o metti #{tag} "
        "all'inizio.",
        captions=(
            "#{tag} Cerchi {asked}? {name} – {told}.",
            "#{tag} Provato: {name}. {first}. Tu per che cosa lo useresti?",
            "#{tag} {name} in mezzo minuto: {last}.",
        ),
        unknown={
            "price": "il prezzo",
            "stock": "la disponibilità",
            "attributes": "il materiale, la misura e altre proprietà",
        },
    ),
    Phrases(
        language="nl",
        tag="reclame",
        product="product",
        hooks=(
            ("Zoek je {asked}? Kijk hier eens naar.", "je gezicht, dan komt het product in beeld"),
            ("Kijk wat er gebeurt.", "{kind} in gebruik, van dichtbij, in de eerste twee seconden"),
            ("Dit staat in de beschrijving: {first}.", "het deel van het product waar je het ziet"),
        ),
        scenes=(
            (
                "opening",
                "een van de drie openingen; het product is vanaf het begin in beeld",
                "de zin van de opening, zonder groet ervoor",
            ),
            ("wat het is", "het hele product, dan in je hand voor de maat", "Dit is: {name}."),
            (
                "in gebruik",
                "wat je er echt mee doet, zonder knip waar het erop aankomt",
                "Laat zien, zeg dan: {first}.",
            ),
            ("details", "schrijf in beeld: {asked}", "Verder: {rest}."),
            (
                "voor wie",
                "jij, het product, en waar het te vinden is",
                "Zeg voor wie het is, en voor wie niet.",
            ),
        ),
        do=(
            "zeg wat je zelf opviel, en dat het jouw indruk is",
            "zeg en toon de woorden die mensen intypen: {words}",
            "zeg aan het begin dat ervoor betaald is",
        ),
        dont=(
            "iets beweren dat niet bij de feiten staat",
            "effecten, gezondheid, latere prijzen of schaarste beloven",
            "met een ander merk vergelijken",
        ),
        disclosure="Zet het label van het platform voor betaalde inhoud aan, of zet #{tag} aan het "
        "begin.",
        captions=(
            "#{tag} Op zoek naar {asked}? {name} – {told}.",
            "#{tag} Geprobeerd: {name}. {first}. Waar zou jij het voor gebruiken?",
            "#{tag} {name} in een halve minuut: {last}.",
        ),
        unknown={
            "price": "de prijs",
            "stock": "of het op voorraad is",
            "attributes": "materiaal, maat en andere eigenschappen",
        },
    ),
    Phrases(
        language="pt",
        tag="publicidade",
        product="produto",
        hooks=(
            ("Procuras {asked}? Vê isto.", "o teu rosto, e depois o produto entra na imagem"),
            ("Vê o que acontece.", "{kind} em uso, de perto, nos dois primeiros segundos"),
            ("Isto é o que diz a ficha: {first}.", "a parte do produto onde se vê"),
        ),
        scenes=(
            (
                "início",
                "um dos três inícios; o produto está na imagem desde o princípio",
                "a frase do início, sem saudação antes",
            ),
            ("o que é", "o produto inteiro, depois na mão pelo tamanho", "Isto é: {name}."),
            (
                "em uso",
                "o que fazes mesmo com ele, sem corte no momento importante",
                "Mostra, depois diz: {first}.",
            ),
            ("detalhes", "escreve na imagem: {asked}", "Também: {rest}."),
            (
                "para quem",
                "tu, o produto, e onde se encontra",
                "Diz para quem é, e para quem não.",
            ),
        ),
        do=(
            "diz o que notaste, e que é a tua impressão",
            "diz e mostra as palavras que se procuram: {words}",
            "diz no início que é pago",
        ),
        dont=(
            "afirmar o que não está entre os dados",
            "prometer efeitos, saúde, preços futuros ou escassez",
            "comparar com outra marca",
        ),
        disclosure="Liga a etiqueta da plataforma para conteúdo pago, ou põe #{tag} no início.",
        captions=(
            "#{tag} Procuras {asked}? {name} – {told}.",
            "#{tag} Experimentado: {name}. {first}. Para que o usarias?",
            "#{tag} {name} em meio minuto: {last}.",
        ),
        unknown={
            "price": "o preço",
            "stock": "se há em stock",
            "attributes": "o material, o tamanho e outras propriedades",
        },
    ),
)
_OF = {p.language: p for p in _ALL}
