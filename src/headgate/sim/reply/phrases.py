"""What sentences are made of, in each language that the simulator answers in.

Any subject goes with any verb, any object and any ending, so that every combination is a sentence.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LANGUAGES", "Phrases", "language_of"]


class Phrases(NamedTuple):
    """The parts of one language."""

    subjects: tuple[str, ...]
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    ends: tuple[str, ...]
    lists: tuple[str, ...]
    """What introduces a list, up to its colon."""
    items: tuple[str, ...]
    common: str
    """Words that tell a text of this language from one of the others."""


_ENGLISH = Phrases(
    subjects=(
        "The canal", "A gate", "The first reservoir", "Each channel", "The upper basin", "Every measure", "The river",
        "A careful keeper", "The lower field", "This season", "The main sluice", "A slow current", "The old survey",
        "The second weir", "Its outlet", "The night watch",
    ),
    verbs=(
        "carries", "holds", "releases", "divides", "measures", "shares", "returns", "balances", "follows", "records",
        "limits", "steadies", "fills", "drains",
    ),
    objects=(
        "more water than it did last year", "what the fields below can use", "a third of the flow",
        "the evening surplus", "only as much as was promised", "the same share to every farm",
        "its level within an hour", "what came in overnight", "the pressure on the gates", "enough for a dry week",
        "the whole of the spring melt", "a small loss to the ground",
    ),
    ends=(
        "", "", ", so nothing is wasted", ", as the records show", " before the heat of the day",
        " when demand is high", ", which is easy to check", " without any delay",
    ),
    lists=("Three things matter", "In short", "What to do next", "The order is this"),
    items=(
        "read the level twice a day", "open the lower gate first", "keep a third in reserve", "note what went out",
        "ask the keeper before noon", "compare it with last year", "close the outlet at night", "look for small losses",
    ),
    common="the and is of to what how with for you this are please in",
)  # fmt: skip
_GERMAN = Phrases(
    subjects=(
        "Der Kanal", "Ein Tor", "Das obere Becken", "Jede Rinne", "Die alte Messung", "Der Fluss", "Das untere Feld",
        "Die Wache", "Ein ruhiger Strom", "Das zweite Wehr", "Die Schleuse", "Der Auslass",
    ),
    verbs=("führt", "hält", "verteilt", "misst", "begrenzt", "sammelt", "liefert", "ersetzt", "füllt", "zeigt"),
    objects=(
        "mehr Wasser als im letzten Jahr", "ein Drittel des Zuflusses", "den Überschuss des Abends",
        "nur so viel wie versprochen", "den gleichen Anteil für jeden Hof", "den Stand innerhalb einer Stunde",
        "genug für eine trockene Woche", "einen kleinen Verlust im Boden", "die ganze Schneeschmelze",
    ),
    ends=(
        "", "", ", damit nichts verloren geht", ", wie die Bücher zeigen", " vor der Hitze des Tages",
        " bei hohem Bedarf", ", was leicht zu prüfen ist", " ohne Verzögerung",
    ),
    lists=("Drei Dinge zählen", "Kurz gesagt", "Die Reihenfolge ist diese"),
    items=(
        "den Stand zweimal am Tag ablesen", "zuerst das untere Tor öffnen", "ein Drittel zurückhalten",
        "aufschreiben, was gesendet wurde", "vor Mittag die Wache fragen", "mit dem Vorjahr vergleichen",
    ),
    common="der die und ist nicht das ein eine mit für wie ich zu auf bitte sind wir auch kann den",
)  # fmt: skip
_DUTCH = Phrases(
    subjects=(
        "Het kanaal", "Een sluisdeur", "Het bovenste bekken", "Elke geul", "De oude meting", "De rivier",
        "Het onderste veld", "De nachtwacht", "Een trage stroom", "De tweede stuw", "De uitlaat", "Dit seizoen",
    ),
    verbs=("voert", "houdt", "verdeelt", "meet", "begrenst", "verzamelt", "levert", "vervangt", "vult", "toont"),
    objects=(
        "meer water dan vorig jaar", "een derde van de toevoer", "het overschot van de avond",
        "niet meer dan beloofd is", "hetzelfde deel voor elke boerderij", "het peil binnen een uur",
        "genoeg voor een droge week", "een klein verlies in de grond", "alle smeltwater van het voorjaar",
    ),
    ends=(
        "", "", ", zodat er niets verloren gaat", ", zoals de boeken laten zien", " voor de hitte van de dag",
        " bij een grote vraag", ", wat makkelijk te controleren is", " zonder vertraging",
    ),
    lists=("Drie dingen tellen", "Kort gezegd", "De volgorde is deze"),
    items=(
        "lees het peil twee keer per dag af", "open eerst de onderste deur", "houd een derde achter de hand",
        "schrijf op wat er verzonden is", "vraag het voor de middag", "vergelijk het met vorig jaar",
    ),
    common="het een van niet ik dat op te zijn voor aan wat hoe er maar om kan graag wij ook naar",
)  # fmt: skip
_FRENCH = Phrases(
    subjects=(
        "Le canal", "Une vanne", "Le bassin supérieur", "Chaque rigole", "L'ancien relevé", "La rivière",
        "Le champ du bas", "La garde de nuit", "Un courant lent", "Le second barrage", "L'écluse", "Cette saison",
    ),
    verbs=("porte", "retient", "partage", "mesure", "limite", "recueille", "fournit", "remplace", "garde", "montre"),
    objects=(
        "plus d'eau que l'année passée", "un tiers du débit", "le surplus du soir", "seulement ce qui était promis",
        "la même part pour chaque ferme", "le niveau en moins d'une heure", "assez pour une semaine sèche",
        "une petite perte dans le sol", "toute la fonte du printemps",
    ),
    ends=(
        "", "", ", pour que rien ne se perde", ", comme le montrent les registres", " avant la chaleur du jour",
        " quand la demande est forte", ", ce qui est facile à vérifier", " sans aucun retard",
    ),
    lists=("Trois choses comptent", "En bref", "Voici l'ordre"),
    items=(
        "lire le niveau deux fois par jour", "ouvrir d'abord la vanne du bas", "garder un tiers en réserve",
        "noter ce qui a été envoyé", "demander avant midi", "comparer avec l'année passée",
    ),
    common="le la les des est et un une pour que qui dans je vous pas sur avec au ce du",
)  # fmt: skip
_SPANISH = Phrases(
    subjects=(
        "El canal", "Una compuerta", "El embalse superior", "Cada acequia", "La vieja medición", "El río",
        "El campo de abajo", "La guardia de noche", "Una corriente lenta", "El segundo azud", "La esclusa",
        "Esta temporada",
    ),
    verbs=("lleva", "retiene", "reparte", "mide", "limita", "recoge", "entrega", "repone", "guarda", "muestra"),
    objects=(
        "más agua que el año pasado", "un tercio del caudal", "el excedente de la tarde", "solo lo que se prometió",
        "la misma parte para cada finca", "el nivel en menos de una hora", "lo bastante para una semana seca",
        "una pequeña pérdida en el suelo", "todo el deshielo de la primavera",
    ),
    ends=(
        "", "", ", para que nada se pierda", ", como muestran los registros", " antes del calor del día",
        " cuando hay mucha demanda", ", lo que es fácil de comprobar", " sin ningún retraso",
    ),
    lists=("Importan tres cosas", "En resumen", "El orden es este"),
    items=(
        "leer el nivel dos veces al día", "abrir primero la compuerta de abajo", "guardar un tercio en reserva",
        "anotar lo que se envió", "preguntar antes del mediodía", "comparar con el año pasado",
    ),
    common="el los las es y un una por que qué con para no se lo cómo del al yo su más",
)  # fmt: skip

LANGUAGES: dict[str, Phrases] = {"en": _ENGLISH, "de": _GERMAN, "nl": _DUTCH, "fr": _FRENCH, "es": _SPANISH}

MOST_CHARS = 400
LEAST_WORDS = 2
"""A language has to show itself in so many different words at least, and in more than English."""

_COMMON = {name: frozenset(phrases.common.split()) for name, phrases in LANGUAGES.items()}
_HINTS = frozenset().union(*_COMMON.values())


def language_of(text: str) -> str:
    """The language a text seems to be in; English if in doubt."""
    found = _HINTS.intersection(text[:MOST_CHARS].lower().split())
    if len(found) < LEAST_WORDS or found <= _COMMON["en"]:
        return "en"
    counts = {name: len(found & words) for name, words in _COMMON.items()}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] >= LEAST_WORDS and counts[best] > counts["en"] else "en"
