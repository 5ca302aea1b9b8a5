"""Codes of languages as a corpus spells them: ISO 639-1 where there is one."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from trueness.errors import DataError

_TWO_LETTERS = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de
dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id
ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu
lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu
rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to
tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_FOLDED = """
eng=en deu=de ger=de fra=fr fre=fr spa=es ita=it por=pt nld=nl dut=nl swe=sv dan=da nor=no nob=nb
nno=nn fin=fi isl=is ice=is pol=pl ces=cs cze=cs slk=sk slo=sk slv=sl hrv=hr srp=sr bos=bs hun=hu
ron=ro rum=ro mol=ro bul=bg mkd=mk mac=mk sqi=sq alb=sq ell=el gre=el tur=tr rus=ru ukr=uk bel=be
est=et lav=lv lit=lt zho=zh chi=zh cmn=zh yue=zh wuu=zh jpn=ja kor=ko ara=ar heb=he fas=fa per=fa
hin=hi ben=bn urd=ur tam=ta tel=te mar=mr guj=gu pan=pa mal=ml kan=kn tha=th vie=vi ind=id msa=ms
may=ms tgl=tl swa=sw afr=af cat=ca eus=eu baq=eu glg=gl gle=ga cym=cy wel=cy lat=la epo=eo kat=ka
geo=ka hye=hy arm=hy kaz=kk uzb=uz mon=mn nep=ne iw=he in=id ji=yi jw=jv mo=ro
"""
_COUNTRIES = """
us=en gb=en au=en nz=en jp=ja cn=zh hk=zh kp=ko cz=cs dk=da gr=el at=de mx=es pe=es cl=es ua=uk
by=be il=he ir=fa vn=vi rs=sr
"""


def _pairs(text: str) -> dict[str, str]:
    return {name: code for name, _, code in (pair.partition("=") for pair in text.split())}


TWO_LETTERS = frozenset(_TWO_LETTERS.split())
"""Of ISO 639-1; others of two letters are none."""
FOLDED = _pairs(_FOLDED)
"""Codes of three letters, and of two that were replaced -> what stands for them."""
COUNTRIES = _pairs(_COUNTRIES)
"""Codes of countries that are taken for languages, and the language that may be meant."""


def language_code(column: str) -> pl.Expr:
    """Codes of a column as a corpus keeps them, null for what is none.

    The first part counts (``pt_BR`` is ``pt``). Codes of three letters that have one of two become
    it (``eng`` is ``en``), old ones the new one (``iw`` is ``he``); other two letters are none.

    Examples
    --------
    >>> frame = pl.DataFrame({"lang": ["pt_BR", "EN ", "English", "deu", "iw", "qq"]})
    >>> frame.select(language_code("lang"))["lang"].to_list()
    ['pt', 'en', None, 'de', 'he', None]
    """
    code = _first_part(column).replace(FOLDED)
    is_one = (code.str.len_bytes() == 3) | code.is_in(list(TWO_LETTERS))
    return pl.when(is_one).then(code).alias(column)


def refuse_countries(codes: pl.Series, where: str) -> None:
    """Refuse codes of countries in place of languages.

    Raises
    ------
    DataError
        With the code ``country``.
    """
    firsts = codes.to_frame("code").select(_first_part("code")).to_series()
    result = firsts.filter(firsts.is_in(list(COUNTRIES)))
    if len(result):
        code = str(result[0])
        raise DataError(
            f"{where}: language {code!r} is the code of a country; give codes of languages, "
            f"{COUNTRIES[code]!r} perhaps", "country",
        )  # fmt: skip


def meant_code(code: str, known: Collection[str]) -> str | None:
    """The code among some that the beginning of a name such as ``German`` is; None without one.

    Examples
    --------
    >>> meant_code("Germany", ["de", "en"]), meant_code("zz", ["de", "en"])
    ('de', None)
    """
    plain = code.strip().lower()
    return next((c for c in (FOLDED.get(plain[:3]), plain[:2]) if c in known), None)


def _first_part(column: str) -> pl.Expr:
    code = pl.col(column).str.strip_chars().str.to_lowercase()
    return code.str.extract(r"^([a-z]{2,3})(?:[-_].*)?$")
