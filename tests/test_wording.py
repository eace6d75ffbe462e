"""Facts about word lists: which sentences address one reader familiarly, and which only look so."""

from __future__ import annotations

import pytest

import briefs as b
from copykit.drafts.look import WORD, lowered
from copykit.drafts.wording import wording_of


def is_familiar(tag: str, sentence: str) -> bool:
    return wording_of(b.language(tag)).familiar.found(WORD.findall(lowered(sentence)))


@pytest.mark.parametrize(
    ("tag", "sentence"),
    [
        ("es-ES", "La lámpara, protegiéndote del frío."),
        ("es-ES", "Ideal para mantenerte en calma mientras disfrutas."),
        ("es-ES", "Di adiós al frío."),
        ("es-ES", "Mañana podrás leer aquí."),
        ("es-ES", "Siéntate un rato."),
        ("pl", "Dzięki niej pozostajesz w cieple."),
        ("pl", "Przyjmij zimę z uśmiechem."),
        ("pl", "To lampa, którą wybrałaś."),
        ("ar", "رفيقك في الشتاء."),
        ("ar", "يضيف لمسة إلى مظهرك."),
        ("ar", "استمتع بالدفء."),
        ("ar", "هذا يعني أنك ستبقى دافئًا."),
        ("ar", "قل وداعًا للبرد."),
        ("ar", "اجلس هنا ثم استمتع بالهدوء."),
        ("ar", "مع هذه السترة تبقى مرتاحًا."),
        ("it", "Una giacca, proteggendoti dal freddo."),
        ("it", "Per tenerti al caldo."),
        ("it", "Abbraccia l’inverno."),
        ("pt-BR", "Feito para te aquecer."),
        ("fr-FR", "Le froid ne t’arrête plus."),
        ("fr-FR", "Profite du calme."),
        ("de", "Damit kannst auch im Winter lesen."),
        ("de", "Entdecke die Ruhe."),
        ("nl", "Past bij jouw huis."),
        ("hi", "आज ही अपनाओ।"),
    ],
)
def test_familiar_address_is_known_by_its_verbs(tag: str, sentence: str) -> None:
    """Endings, enclitics and imperatives address one reader without a pronoun."""
    assert is_familiar(tag, sentence)


@pytest.mark.parametrize(
    ("tag", "sentence"),
    [
        ("es-ES", "El arte de cada parte: fuerte, inerte y sin límite, detrás de la suerte."),
        ("es-ES", "La chaqueta comparte y convierte; usted la elige."),
        ("pl", "Nasz gulasz i kasz z mysz, pasz i afisz czekają na Państwa."),
        ("pl", "Proszę zobaczyć lampę."),
        ("ar", "كذلك السلوك والشباك، وهناك بلاستيك وأكريليك لكم."),
        ("ar", "السترة تبقى دافئة، والقماش ناعم، أنتم تعلمون أنكم ستبقون معنا."),
        ("ar", "مزيج الأكريليك والكلاسيك مع سمك ومحرك."),
        ("it", "Le parti, i reparti, i concerti e gli esperti sono aperti."),
        ("it", "La giacca mantiene il calore."),
        ("pt-BR", "A jaqueta aquece e você sente."),
        ("fr-FR", "La lampe reste chez vous et n’ajoute rien."),
        ("de", "Die Lampe bringt Licht; sehen Sie selbst, lesen Sie."),
        ("nl", "De jas past bij uw huis."),
        ("hi", "दो रंगों में, आपके लिए।"),
        ("en", "You may take it."),
        ("ja", "机です。"),
    ],
)
def test_words_that_only_end_so_are_innocent(tag: str, sentence: str) -> None:
    """Nouns and formal verbs with the endings of the second person address nobody familiarly."""
    assert not is_familiar(tag, sentence)
