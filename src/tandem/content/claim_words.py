"""Words in which texts claim something: properties, and promises that no listing can bear out.

In English, German, French, Spanish, Italian, Dutch and Portuguese. Everything is written without
accents (`unaccented`) and in small letters, as regular expressions between word boundaries. A word
is here only when it does not mean something harmless in another of these languages ("bio" is where
creators put their links, "a lo mejor" is perhaps).
"""

from __future__ import annotations

import re
import unicodedata

from tandem.contracts.brief import ClaimKind

# Properties that shoppers rely on: to be said only where the listing says them. What one word says
# in one language may be two properties in another (kabellos: wireless or cordless).
_PROPERTIES = r"""
waterproof: waterproof | wasserdicht\w* | wasserfest\w* | etanches? | impermeables?
 | impermeabil[ei] | waterdichte? | impermeave(?:l|is) | a prova d['’ ]agua | prueba de agua
water resistant: water[- ]resistant | wasserabweisend\w* | spritzwassergeschutzt\w*
 | resistante?s? a l['’]eau | resistentes? al agua | resistenti? all['’]acqua | waterbestendige?
 | waterafstotende? | resistentes? a agua
dustproof: dust[- ]?proof | staubdicht\w* | resistante?s? a la poussiere | resistentes? al polvo
 | resistenti? alla polvere | stofdichte? | resistentes? a poeira
shockproof: shock[- ]?proof | sto(?:ss|ß)fest\w* | resistante?s? aux chocs | antichocs?
 | antigolpes | resistentes? a (?:los )?golpes | antiurto | schokbestendige?
 | resistentes? a choques
fireproof: fire[- ]?proof | feuerfest\w* | ignifuges? | ignifug[oa]s? | ignifughi?
 | brandwerende? | brandveilige? | a prova de fogo
wireless: wireless | kabellos\w* | drahtlos\w* | sans fil | inalambric[oa]s? | senza fil[io]
 | draadlo(?:os|ze) | sem fios?
cordless: cordless | kabellos\w* | schnurlos\w* | sans fil | inalambric[oa]s? | sin cables?
 | senza fil[io] | snoerlo(?:os|ze) | sem fios?
rechargeable: rechargeables? | wiederaufladbar\w* | recargables? | ricaricabil[ei]
 | oplaadba(?:ar|re) | herlaadba(?:ar|re) | recarregave(?:l|is)
noise cancelling: noise[- ]cancell?ing | gerauschunterdruck\w* | reduction (?:active )?de bruit
 | antibruit | cancelacion (?:activa )?de ruido | cancellazione (?:attiva )?del rumore
 | ruisonderdruk\w* | cancelamento (?:ativo )?de ruido
fast charging: fast[- ]charging | schnelllad\w* | (?:charge|recharge) rapide | carga rapida
 | ricarica (?:rapida|veloce) | snelladen\w* | snellader | carregamento rapido
solar powered: solar[- ]powered | solarbetrieben\w* | (?:a energie|energie) solaire
 | energia solar | energia solare | (?:op )?zonne-?energie
dishwasher safe: dishwasher[- ]safe | spulmaschinen(?:fest|geeignet)\w*
 | (?:passe|va|compatible) au lave[- ]vaisselle | apt[oa]s? para (?:el )?lavavajillas
 | lavabil[ei] in lavastoviglie | vaatwasser ?bestendige? | vaatwasmachinebestendige?
 | (?:pode ir|vai) a maquina de lavar louca
machine washable: machine[- ]washable | maschinenwaschbar\w* | lavables? en machine
 | lavables? a maquina | lavabil[ei] in lavatrice | machinewasba(?:ar|re)
 | lavave(?:l|is) a maquina
oven safe: oven[- ]safe | (?:back)?ofenfest\w* | (?:passe|va) au four
 | apt[oa]s? para (?:el )?horno | adatt[oaie] al forno | ovenbestendige? | ovenvaste?
 | (?:pode ir|vai) ao forno
microwave safe: microwave[- ]safe | mikrowellen(?:fest|geeignet)\w*
 | (?:passe|va) au micro-?ondes | apt[oa]s? para (?:el )?microondas | adatt[oaie] al microonde
 | magnetronbestendige? | (?:pode ir|vai) ao micro-?ondas
bpa free: bpa[- ]free | bpa[- ]frei\w* | sans bpa | (?:libres? de|sin) bpa | senza bpa
 | bpa[- ]?vrije? | (?:livres? de|sem) bpa
lead free: lead[- ]free | bleifrei\w* | sans plomb | sin plomo | senza piombo | loodvrije?
 | sem chumbo
fragrance free: fragrance[- ]free | (?:parfum|duftstoff)frei\w* | sans parfum
 | sin (?:perfume|fragancia) | senza profumo | parfumvrije? | sem (?:perfume|fragrancia)
gluten free: gluten[- ]free | glutenfrei\w* | sans gluten | sin gluten | senza glutine
 | glutenvrije? | sem gluten
sugar free: sugar[- ]free | zuckerfrei\w* | ohne zucker | sans sucre | sin azucar
 | senza zuccheri? | suikervrije? | zonder suiker | sem acucar
dairy free: dairy[- ]free | lactose[- ]free | laktosefrei\w* | sans lactose | sin lactosa
 | senza lattosio | lactosevrije? | sem lactose
cruelty free: cruelty[- ]free | tierversuchsfrei\w* | ohne tierversuche
 | non teste sur (?:les )?animaux | sin crueldad | no testado en animales
 | non testato su(?:gli)? animali | dierproefvrije? | nao testado em animais
vegan: vegan\w* | vegana?s? | vegane?s? | vegan[oaie]s? | veganistische?
vegetarian: vegetari(?:an|sch|en|enne|ano|ana|ani|ane|anos|anas)\w*
organic: organic | aus bio[- ]?\w+ | bio[- ]?(?:baumwolle|qualitat)
 | (?:kontrolliert )?biologische[rnsm]? | (?:issue? de l['’])?agriculture biologique
 | biologiques? | ecologic[oa]s? | biologic[oaie] | biologici | organic[oa]s?
natural: natural | naturals? | 100 ?% naturlich\w* | reine natur | 100 ?% naturel\w*
 | naturelles? | naturales | naturali? | natuurlijke? | naturais
handmade: hand[- ]?made | handgemacht\w* | handgefertigt\w* | fait(?:e?s?)? (?:a la )?main
 | hech[oa]s? a mano | fatt[oaie] a mano | handgemaakte? | feit[oa]s? a mao
recycled: recycled | recycelt\w* | recyclee?s? | reciclad[oa]s? | riciclat[oaie] | gerecyclede?
recyclable: recyclables? | recycelbar\w* | recyclingfahig\w* | reciclables? | riciclabil[ei]
 | recycleba(?:ar|re) | reciclave(?:l|is)
biodegradable: biodegradables? | biologisch abbau?bar\w* | biodegradabil[ei]
 | biologisch afbreekba(?:ar|re) | biodegradave(?:l|is)
sustainable: sustainable | nachhaltig\w* | durables? (?:et|pour la planete)\w*
 | ecoresponsables? | sostenibles? | sostenibil[ei] | duurzame? | sustentave(?:l|is)
genuine leather: (?:genuine|real) leather | echte[snm]? leder | echtleder | cuir veritable
 | vrai cuir | (?:cuero|piel) (?:genuin[oa]|autentic[oa]|de verdad) | vera pelle | echt leer
 | couro (?:legitimo|genuino|verdadeiro)
stainless steel: stainless steel | edelstahl\w* | acier inoxydable | inox | acero inoxidable
 | acciaio inox(?:idabile)? | acciaio inossidabile | roestvrije? ?staal | rvs
 | aco inox(?:idavel)?
solid wood: solid wood | massivholz | bois massif | madera maciza | legno massello
 | massief hout | madeira macica
pure cotton: (?:pure|100 ?%) cotton | (?:reine|100 ?%) baumwolle | (?:pur|100 ?%) coton
 | (?:100 ?% algodon|algodon puro) | (?:puro|100 ?%) cotone | (?:puur|100 ?%) katoen
 | (?:100 ?% algodao|algodao puro)
cashmere: cashmere | kaschmir\w* | cachemire | cachemir(?:a)? | kasjmier | caxemira
silk: silk | aus seide | reine seide | (?:en|de) soie | de seda | (?:di|in) seta | van zijde
 | zijden
hypoallergenic: hypoallergen\w* | hypoallergeniques? | hipoalergenic[oa]s?
 | ipoallergenic[oahie]+
dermatologically tested: dermatologically tested | dermatologisch (?:getestet|getest)\w*
 | testee?s? dermatologiquement | dermatologicamente (?:testat[oaie]|testad[oa]s?)
 | testad[oa]s? dermatologicamente
non slip: (?:non|anti)[- ]slip | rutschfest\w* | antiderapante?s? | antideslizantes?
 | antiscivolo | antislip | antiderrapantes?
non stick: non[- ]stick | antihaft\w* | antiadhesi(?:f|fs|ve|ves) | antiadherentes?
 | antiaderent[ei] | anti-?aanbak\w*
foldable: foldable | faltbar\w* | klappbar\w* | (?:re)?pliables? | plegables? | pieghevol[ei]
 | (?:op)?vouwba(?:ar|re) | inklapba(?:ar|re) | dobrave(?:l|is)
adjustable: adjustable | verstellbar\w* | reglables? | ajustables? | regolabil[ei]
 | verstelba(?:ar|re) | ajustave(?:l|is) | regulave(?:l|is)
unbreakable: unbreakable | unzerbrechlich\w* | bruchsicher\w* | incassables? | irrompibles?
 | infrangibil[ei] | onbreekba(?:ar|re) | inquebrave(?:l|is)
scratch resistant: scratch[- ](?:resistant|proof) | kratzfest\w* | resistante?s? aux rayures
 | anti-?rayures | resistentes? a (?:los )?aranazos | antigraffio | krasbestendige? | krasvrije?
 | resistentes? a riscos
assembled: assembled
educational: educational | padagogisch\w* | educati(?:f|fs|ve|ves) | educativ[oaie]s?
 | educatieve?
outdoor: outdoor
"""

_COUNTRIES = r"""
germany: deutschland allemagne alemania germania duitsland alemanha
italy: italien italie italia
france: frankreich francia frankrijk franca
spain: spanien espagne espana spagna spanje espanha
portugal: portogallo
netherlands: niederlande pays-bas holanda olanda nederland holland paises-bajos
england: grossbritannien angleterre inglaterra inghilterra engeland uk britain
usa: amerika etats-unis estados-unidos america
china: chine cina
japan: japon giappone japao
turkey: turkei turquie turquia turchia turkije
india: indien inde
poland: polen pologne polonia
switzerland: schweiz suisse suiza svizzera zwitserland suica
austria: osterreich autriche oostenrijk
"""
MADE_IN = re.compile(
    r"\b(?:made in|hergestellt in|fabriquee?s? en|hech[oa]s? en|fabricad[oa]s? (?:en|em|na|no)|"
    r"fatt[oaie] in|prodott[oaie] in|gemaakt in|feit[oa]s? (?:em|na|no)) ([\w-]+)"
)
COUNTRIES = {
    name: line.split(":")[0]
    for line in _COUNTRIES.strip().splitlines()
    for name in line.replace(":", " ").split()
}

KINDS: tuple[tuple[ClaimKind, str, str], ...] = (
    (
        "health",
        r"""
cures? | heals? | prevents? | detox\w* | clinically proven | doctor recommended | anti[- ]?aging
| lose weight | weight loss | burns? fat | boosts? immunity | relieves? pain
| heilt | lindert | klinisch (?:getestet|bewiesen|gepruft)\w* | arztlich empfohlen
| (?:hilft|wirkt) (?:gegen|bei) \w*schmerzen | entgift\w* | fettverbrenn\w* | abnehmen
| starkt (?:das |dein |ihr )?immunsystem
| gueri(?:t|s|r|ssent|son) | soigne (?:les?|la|vos|votre|tes|ton) | soulage\w*
| cliniquement (?:prouve|teste)\w* | recommandee?s? par (?:les |des )?(?:medecins|dermatologues)
| anti[- ]?age | perdre du poids | perte de poids | brule\w* (?:les |des )?graisses?
| renforce (?:l['’]immunite|le systeme immunitaire)
| curan? (?:el|la|los|las|tu|tus) | previenen? | clinicamente (?:probad|testad|comprovad|testat)\w*
| recomendad[oa]s? por (?:los |os )?(?:medicos|dermatologos|dermatologistas) | anti[- ]?edad
| antienvejecimiento | perder peso | adelgaza\w* | queman? (?:la )?grasas?
| refuerza (?:tu |el |la )?(?:sistema inmunitario|inmunidad)
| alivian? (?:el |los |la |as |a )?(?:dolor|dolores|dor|dores)
| cura (?:il|i|le|gli) | guarisc\w* | allevia(?:no)? (?:il|i|la)
| consigliat[oaie] da(?:i|gli)? (?:medici|dermatologi) | anti[- ]?eta | antirughe | perdere peso
| dimagri\w* | brucian?o? (?:i )?grassi | rinforza (?:le |il )?(?:difese|sistema immunitario)
| geneest | verlicht (?:de )?\w*pijn | klinisch (?:bewezen|getest)\w*
| aanbevolen door (?:artsen|dermatologen) | anti-?rimpel | afvallen | vetverbrand\w*
| versterkt (?:je |het |uw )?immuunsysteem
| cura (?:as?|os?|sua) | previne | anti[- ]?idade | antienvelhecimento | emagrec\w*
| queima\w* (?:a )?gordura | reforca (?:a |o )?(?:imunidade|sistema imuni\w+|sistema imunologico)
""",
        "leave it out: claims about health need proof and often approval",
    ),
    (
        "superlative",
        r"""
(?:the|world['’]?s|ever) (?:best|cheapest|fastest|strongest|safest|greatest) | best \w+ ever
| number one | #1 | n[°o]?\.? ?1 | unbeatable | unrivall?ed | perfect | miracle | magical?
| (?:der|die|das|den|dem|des)
 (?:aller)?(?:beste|gunstigste|billigste|schnellste|starkste|sicherste|leiseste|gro(?:ss|ß)te)[nrs]?
| weltbeste\w* | unschlagbar\w* | perfekt\w* | nummer eins | nr\.? ?1 | einzigartig\w*
| revolutionar\w*
| (?:le|la|les) (?:meilleure?s?|moins chere?s?)
| (?:le|la|les) plus (?:rapide|fort|forte|puissant|puissante|sure?|solide|belle|beau)s?
| parfaite?s? | imbattables? | inegalee?s? | numero un | miracles? | magiques? | revolutionnaires?
| (?:el|la|los|las) mejor(?:es)? | (?<!a )lo mejor
| (?:el|la|los|las|os?|as?) mas (?:barat|rapid|fuert|segur|potent|bonit)\w*
| perfect[oa]s? | inmejorables? | insuperables? | numero uno | milagros\w* | milagros?
| magic[oa]s? | revolucionari[oa]s?
| (?:il|la|i|le|lo) (?:miglior\w* | piu (?:economic|veloc|fort|sicur|potent|bell)\w*)
| perfett[oaie] | imbattibil[ei] | insuperabil[ei] | miracol\w* | magici | magiche
| rivoluzionari[oae]?
| (?:de|het) (?:aller)?(?:beste|goedkoopste|snelste|sterkste|veiligste|stilste|mooiste) | perfecte
| onverslaanbare? | ongeevenaarde? | nummer (?:een|1) | wondermiddel | magische? | revolutionaire?
| (?:os?|as?) melhor(?:es)? | (?:os?|as?) mais (?:barat|rapid|fort|segur|potent|bonit)\w*
| perfeit[oa]s? | imbative(?:l|is) | insuperave(?:l|is) | numero um | milagres?
""",
        "say what you noticed yourself, or a fact of the listing",
    ),
    (
        "promise",
        r"""
guaranteed? | risk[- ]?free | money back | lifetime warranty | free (?:shipping|returns?)
| never (?:breaks?|fails?) | works? for everyone | instant results?
| garantier(?:t|te|en)\w* | risikofrei\w* | ohne risiko | geld[- ]zuruck\w*
| kostenlose[rn]? (?:versand|lieferung|ruckgabe|retoure)\w* | versandkostenfrei\w* | gratisversand
| geht nie kaputt | sofortige ergebnisse
| garanti(?:e|es|s|t|ssons)? | sans (?:aucun )?risque | satisfaite?s? ou remboursee?s?
| livraison (?:gratuite|offerte) | retours? gratuits? | ne casse jamais | resultats? immediats?
| garantizad[oa]s? | garantias? | sin riesgos? | (?:te )?devolvemos (?:el|tu) dinero
| devolucion(?:es)? (?:del dinero|gratis|gratuitas?) | envios? (?:gratis|gratuitos?)
| nunca se rompe | resultados? inmediatos?
| garantit[oaie] | garanzi[ae] | senza rischi\w* | soddisfatti o rimborsati
| spedizion[ei] (?:gratuit[ae]|gratis) | res[oi] gratuit[oi] | non si rompe mai
| risultati immediati
| gegarandeerde? | zonder risico | risicovrije? | niet goed,? geld terug | geld[- ]terug\w*
| gratis (?:verzending|bezorging|retour\w*) | gaat nooit kapot | direct resultaat
| garantid[oa]s? | sem riscos? | dinheiro de volta | devolucao do dinheiro
| (?:frete|envio|portes) (?:gratis|gratuitos?) | nunca (?:quebra|parte) | resultados? imediatos?
""",
        "leave promises to the merchant's own terms",
    ),
    (
        "scarcity",
        r"""
last chance | only today | today only | selling out | almost gone | only \d+ left
| while (?:stocks?|supplies) lasts? | \d+ ?% off | half price
| letzte chance | nur heute | (?:fast|bald) ausverkauft | nur noch \d+ | letzte stucke?
| solange (?:der )?vorrat reicht | \d+ ?% (?:rabatt|reduziert|gunstiger) | halbe[rn]? preis
| derniere chance | aujourd['’]hui seulement | seulement aujourd['’]hui
| (?:bientot|presque) epuisee?s? | plus que \d+ | dans la limite des stocks
| \d+ ?% de (?:reduction|remise|rabais) | moitie prix | dernieres pieces
| ultima (?:oportunidad|oportunidade|occasione|chance) | solo hoy | hoy solo | se agota\w*
| casi agotad[oa]s? | quedan? (?:solo )?\d+ | hasta agotar existencias
| \d+ ?% (?:de )?(?:descuento|desconto) | mitad de precio | ultimas unid\w+
| ultimi pezzi | solo (?:per )?oggi | quasi esaurit[oaie] | (?:ne )?restano (?:solo )?\d+
| fino a(?:d)? esaurimento (?:delle )?scorte | \d+ ?% di sconto | sconto del \d+ ?% | meta prezzo
| laatste kans | alleen vandaag | bijna uitverkocht | op is op | nog maar \d+
| zolang de voorraad strekt | \d+ ?% korting | halve prijs | laatste stuks
| (?:so|apenas) hoje | quase esgotad[oa]s? | restam (?:so |apenas )?\d+
| enquanto dura(?:r|rem) (?:o |os )?(?:estoque|stock)s? | metade do preco
""",
        "leave it out unless the merchant confirmed it for the time of posting",
    ),
)

_NOT = (
    r"not|isn['’]?t|aren['’]?t|no|never|without|nicht|kein\w*|nie|ohne|pas|jamais|sans|aucune?|sin|"
    r"nunca|ni|non|senza|mai|niet|geen|nooit|zonder|nao|sem"
)
# "Not only vegan" and "without a doubt vegan" say that it is.
_YET = (
    r"\s+(?:(?:only|just|merely|nur|bloss|bloß|allein|seulement|uniquement|solo|solamente|soltanto|"
    r"alleen|enkel|apenas|somente)|(?<=nao )so|(?:\w+\s+)?(?:doubt|zweifel|doute|duda|dubbio|"
    r"twijfel|duvida))\b"
)
NEGATED_BEFORE = re.compile(rf"\b(?:{_NOT})(?!{_YET})\s+(?:[\w'’]+\s+){{0,2}}$|\bnon[\s-]?$")
# "Wasserdicht ist er nicht", "waterdicht is hij niet".
NEGATED_AFTER = re.compile(r"^\s+(?:ist|sind|is|zijn)\s+(?:\w+\s+){0,2}(?:nicht|niet)\b")


# A space outside of classes and look-behinds, alone or optional.
_SPACE = re.compile(r"\[[^\]]*\]|\(\?<![^)]*\)| \??")


def unaccented(text: str) -> str:
    """Small letters without accents, as many characters as before: places stay the same."""
    return "".join(_plain_letter(c) for c in text)


def _plain_letter(character: str) -> str:
    small = character.lower()
    base = unicodedata.normalize("NFD", small)[0] if small else character
    return base if len(small) == 1 else character


def compiled(words: str) -> re.Pattern[str]:
    """Alternatives in free spacing, where a space between words is one or more spaces."""
    ways = re.sub(r"\s*\n\s*", " ", words.strip())
    ways = ways.replace(" | ", "|")  # a space on one side only belongs to the words
    return re.compile(rf"(?<!\w)(?:{_SPACE.sub(_spaces, ways)})(?!\w)")


def _spaces(match: re.Match[str]) -> str:
    return {" ": "[ -]+", " ?": "[ -]?"}.get(match[0], match[0])


def _read(table: str) -> dict[str, re.Pattern[str]]:
    joined = re.sub(r"\n (?=\|)", " ", table.strip())
    lines = (line.split(":", 1) for line in joined.splitlines())
    return {name: compiled(words) for name, words in lines}


PROPERTIES = _read(_PROPERTIES)
OF_A_KIND = tuple((kind, compiled(words), remedy) for kind, words, remedy in KINDS)
