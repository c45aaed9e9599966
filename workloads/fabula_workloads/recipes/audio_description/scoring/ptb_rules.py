"""The classes of tokens of the Penn Treebank as Stanford's tokenizer 3.4.1 reads captions, and how each is written.

At each place the class that reaches furthest wins, what it looks at behind the token included; of equals, the first.
Written from the published behaviour and held against the original in tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_LETTER = r"(?:(?![\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u209f\u2150-\u218f\u2460-\u249b])[^\W\d_])"
"""A fraction or a raised number is no letter."""
_L = rf"(?:{_LETTER}|\u00ad|&[aeiouAEIOU](?:acute|grave|uml);)"
_A = rf"(?:{_LETTER}|\d)"
_SPACE = r"[ \t\u00a0\u2000-\u200a\u3000]"
_END = r"[ \t\u00a0\u2000-\u200a\u3000\r\n]"
_APOS = r"(?:['\u0092\u2019]|&apos;)"
_APOX = r"(?:['\u0092\u2019`\u0091\u2018\u201b]|&apos;)"
_WORD = rf"{_L}(?:{_L}|\d)*(?:[.!?]{_L}(?:{_L}|\d)*)*"
_NUM = r"(?:\d*(?:[.,:\u066b\u066c]\d+)+|\d+(?:[.:,\u00ad\u066b\u066c]\d+)*)"
_HYPHEN = r"[-_\u058a\u2010\u2011]"
_PREFIX = rf"(?:[dDoOlL]{_APOX}{_A})?"
_REDAUX = rf"{_APOS}(?:[msdMSD]|re|ve|ll|RE|VE|LL|Re|Ve|Ll)"
_SREDAUX = rf"[nN]{_APOX}[tT]"
_SGML = (
    r"<(?:[!?][A-Za-z\-][^>\r\n]*|/?[A-Za-z][A-Za-z0-9:.\-]*"
    r"(?:[ ]+(?:[A-Za-z][A-Za-z0-9:.\-]*(?:[ ]*=[ ]*['\"][^\r\n'\"]*['\"])?|['\"][^\r\n'\"]*['\"]|[ ]*/))*[ ]*)>"
)
_MONTHS = r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thurs?|Thu|Fri"
_STATES = (
    "Ala|Ariz|Calif|Colo|Conn|Ct|Dak|Fla|Ga|Ind|Kans?|Ky|Md|Mich|Minn|Mo|Mont|Neb|Nev|Okla|Penn|Tenn|Va|Vt|Wisc?|Wyo"
)
_ALSO_WORDS = "A(?i:z|rk)|D(?i:el)|I(?i:ll)|L(?i:a)|M(?i:ass|iss)|O(?i:re)|P(?i:a)|T(?i:ex)|W(?i:ash)"
"""States whose abbreviations are words in small letters."""
_COMPANIES = "Inc|Cos?|Corp|Pp?t[ye]s?|Ltd|Plc|Rt|Bancorp|Dept|Bhd|Assn|Univ|Intl|Sys"
_AFTER_NAMES = r"Jr|Sr|Bros|(?:Ed|Ph)\.D|Blvd|Rd|Esq"
_ABBREV1 = rf"(?:(?i:{_MONTHS}|{_STATES}|{_COMPANIES}|{_AFTER_NAMES}|tel|est|ext|sq|etc|al|seq|bldg)|{_ALSO_WORDS})\."
_ACRO2 = r"[A-Za-z](?:\.[A-Za-z])+"
_ACRO = r"(?:(?:Canada|Sino|Korean|EU|Japan|non)-U\.S|U\.S\.-(?:U\.K|U\.S\.S\.R)|[A-Za-z](?:\.[A-Za-z])*)"
_TITLES = (
    "Mr|Mrs|Ms|Drs?|Profs?|Sens?|Reps?|Attys?|Lt|Col|Gen|Messrs|Govs?|Adm|Rev|Maj|Sgt|Cpl|Pvt|Capt|Ste?|Ave|Pres"
    "|Lieut|Hon|Brig|Co?mdr|Pfc|Spc|Supts?|Det|Mt|Ft|Adj|Adv|Asst|Assoc|Ens|Insp|Mlle|Mme|Msgr|Sfc"
)
_ABBREV4 = rf"(?:(?i:{_TITLES}|vs|Alex|Wm|Jos|Cie|a\.k\.a|cf|TREAS|Ph)|M(?i:iss)|{_ACRO})"
_ABBREV3 = r"(?i:ca|figs?|prop|nos?|art|bldg|prop|pp|op)\."
_FILENAME = (
    rf"{_A}+(?:\.{_A}+)*\.(?i:html|htm|h|java|jpeg|jpg|bat|bmp|bz2|class|cgi|cpp|c|dll|docx|doc|exe|gif|gz|jar|mov|mp3"
    r"|pdf|php|pl|png|pptx?|ps|py|sql|tar|txt|wav|xml|x|zip|wm[va]|avi|flv|mp[34g])"
)
ABBREVIATION = re.compile("(?i:ca|figs?|prop|nos?|art|bldg|pp|op)")
"""Words whose full stop belongs to them before a number only."""
_PHONE = (
    r"(?:(?:\(\d{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:\d{2,4}[\- \u00a0])?\d{2,4}[\- \u00a0])\d{3,4}[\- \u00a0]?\d{3,5}"
    r"|(?:(?:\+\+?)?\d{2,4}\.)?\d{2,4}\.\d{3,4}\.\d{3,5})"
)
_APOWORD = (
    rf"(?:[A-HJ-XZn]{_APOX}{_L}{{2}}{_L}*|{_L}{_L}*[aeiouyAEIOUY]{_APOX}[aeiouA-Z]{_L}*|{_APOS}[nN]{_APOS}?|Dunkin{_APOS}"
    rf"|somethin{_APOS}|ol{_APOS}|{_APOS}em|{_APOS}[2-9]0s|{_APOS}till?|{_APOS}cause|cont'd\.?|nor'easter|[Cc]'mon|e'er"
    rf"|s'mores|ev'ry|li'l|nat'l|'S|o{_APOX}o|[lLdDjJ]{_APOS})"
)
"""The longer ones first."""
_HYPHENATED = rf"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-(?:{_ACRO2}\.|[A-Za-z0-9\u00ad]+))+"
_THING = rf"{_PREFIX}{_A}+(?:{_HYPHEN}{_PREFIX}{_A}+)*"


_QUOTES = {
    "\u0091\u2018\u201a\u201b\u2039": "`",
    "\u0092\u2019\u203a": "'",
    "\u0084\u0093\u201c\u201e\u00ab": "``",
    "\u0094\u201d\u00bb": "''",
}


@dataclass(frozen=True, slots=True)
class TokenClass:
    """`pattern`: group 1 is the token, and what follows in it is looked at only."""

    pattern: re.Pattern[str]
    written: Callable[[str], str] = str
    kept: int = 0
    """So many of its last characters are read again as the next token."""


def _as_nbsp(text: str) -> str:
    return text.replace(" ", "\u00a0")


def _quotes(text: str) -> str:
    for marks, written in _QUOTES.items():
        text = re.sub(f"[{marks}]", written, text)
    return text.replace("&apos;", "'")


def _soft(text: str) -> str:
    return text.replace("\u00ad", "")


def _brackets(text: str) -> str:
    return text.replace("(", "-LRB-").replace(")", "-RRB-")


def _apostrophe(text: str) -> str:
    return re.sub(r"[\u0092\u2019]|&apos;", "'", re.sub(r"[\u0091\u2018\u201b]", "`", text))


def _always(text: str) -> Callable[[str], str]:
    return lambda _: text


def _of(
    pattern: str, behind: str = "", written: Callable[[str], str] = str, kept: int = 0, flags: int = 0
) -> TokenClass:
    return TokenClass(re.compile(f"({pattern}){behind}", flags), written, kept)


_SENTENCE_STARTS = (
    "A|About|According|Additionally|After|An|As|At|But|Earlier|He|Her|Here|However|If|In|It|Last|Many|More|Mr\\.|Ms\\.|Now"
    "|Once|One|Other|Our|She|Since|So|Some|Such|That|The|Their|Then|There|These|They|This|We|When|While|What|Yet|You"
)
_CURRENCY = {"\u00a2": "cents", "\u00a3": "#", "\u0080": "$", "\u00a4": "$", "\u20a0": "$", "\u20ac": "$"}
_FRACTIONS = {"\u00bc": "1/4", "\u00bd": "1/2", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"}

CLASSES: tuple[TokenClass, ...] = (
    _of("cannot", kept=3, flags=re.I),
    _of("'twas", kept=3, flags=re.I),
    _of("'tis|gonna|gotta|lemme|gimme|wanna", kept=2, flags=re.I),
    _of(_SGML, written=_as_nbsp),
    _of(r"&(?:MD|mdash);|[\u0096\u0097\u2013\u2014\u2015]", written=_always("--")),
    _of("&amp;", written=_always("&")),
    _of(r"&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#\d+);"),
    _of(_WORD, _REDAUX, _soft),
    _of(r"[A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*", _SREDAUX, _soft),
    _of(_WORD, written=_soft),
    _of(_APOWORD),
    _of(rf"[yY]{_APOS}", _L),
    _of(r"https?://[^ \t\n\f\r\"<>|()]+[^ \t\n\f\r\"<>|.!?(){},-]"),
    _of(
        r"(?:www\.(?:[^ \t\n\f\r\"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}"
        r"|(?:[^ \t\n\f\r\"`'<>|.!?(){},-_$]+\.)+(?:com|net|org|edu))"
        r"(?:/[^ \t\n\f\r\"<>|()]+[^ \t\n\f\r\"<>|.!?(){},-])?",
    ),
    _of(
        r"(?:&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r\"<>|(){}\u00a0]*@"
        r"(?:[^ \t\n\f\r\"<>|(){}.\u00a0]+\.)*[^ \t\n\f\r\"<>|(){}.\u00a0]+"
        r"(?:&gt;|>)?"
    ),
    _of(rf"@[a-zA-Z_][a-zA-Z_0-9]*|#{_L}+"),
    _of(_REDAUX, r"[^A-Za-z]", _apostrophe),
    _of(_SREDAUX, r"[^A-Za-z]", _apostrophe),
    _of(r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}"),
    _of(rf"[-+]?{_NUM}", written=_soft),
    _of(r"[\u207a\u207b\u208a\u208b]?(?:[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|[\u2080-\u2089]+)"),
    _of(r"(?:\d{1,4}[- \u00a0])?\d{1,4}(?:\\?/|\u2044)\d{1,4}", written=_as_nbsp),
    _of(r"[\u00bc\u00bd\u00be\u2153-\u215e]", written=lambda text: _FRACTIONS.get(text, text)),
    _of(
        r"-(?:RRB|LRB|RCB|LCB|RSB|LSB)-|C\.D\.s|pro-|anti-|S(?:&|&amp;)P-500|S(?:&|&amp;)Ls|Cap['\u2019]n|c['\u2019]est"
    ),
    _of("OK!", rf"{_SPACE}magazine"),
    _of(r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}"),
    _of(r"[A-Z]*\$|#"),
    _of(
        r"[\u00a2\u00a3\u00a4\u00a5\u0080\u20a0\u20ac\u060b\u0e3f\u20a4\uffe0\uffe1\uffe5\uffe6]",
        written=lambda text: _CURRENCY.get(text, text),
    ),
    _of(r"[A-Za-z]\.", rf"{_SPACE}+(?:{_SENTENCE_STARTS}){_END}", kept=1),
    _of(rf"{_ACRO}\.", rf"{_SPACE}+(?:{_SENTENCE_STARTS}){_END}"),
    _of(_ABBREV3, rf"{_END}?\d"),
    _of(_ABBREV1, rf"{_SPACE}(?:{_SPACE}|[A-Z])"),
    _of(_ABBREV1, r"[\s\S]{2}"),
    _of(_ABBREV1),
    _of(rf"{_ABBREV4}\."),
    _of(_ABBREV4, _SPACE),
    _of(_ACRO, _END),
    _of(rf"{_APOS}\d\d", _END),
    _of(_FILENAME, rf"(?:{_END}|[.?!,\"<])"),
    _of(rf"{_WORD}\.", r"[,;:\u3001]", _soft),
    _of(_PHONE, written=lambda text: _brackets(_as_nbsp(text))),
    _of(r"\"|&quot;|''", r"[A-Za-z0-9$]", _always("``")),
    _of(r"\"|&quot;|''", written=_always("''")),
    _of("<|&lt;", written=_always("<")),
    _of(">|&gt;", written=_always(">")),
    _of(r"[<>]?[:;=][\-o*']?[()DPdpO\\{@|\[\]]", r"[^A-Za-z0-9]", _brackets),
    _of(
        r"[\^x=~<>]\.\[\^x=~<>\]|[\-\^x=~<>']_[\-\^x=~<>']|\([\-\^x=~<>'][_.]?[\-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)",
        written=_brackets,
    ),
    _of(r"\{", written=_always("-LCB-")),
    _of(r"\}", written=_always("-RCB-")),
    _of(r"\[", written=_always("-LSB-")),
    _of(r"\]", written=_always("-RSB-")),
    _of(r"\(", written=_always("-LRB-")),
    _of(r"\)", written=_always("-RRB-")),
    _of("-+", written=lambda text: "--" if 3 <= len(text) <= 4 else text),
    _of(r"\.\.\.+|[\u0085\u2026]|\.[ \u00a0](?:\.[ \u00a0])+\.", written=_always("...")),
    _of("@+|#+|_+"),
    _of(r"\*+|(?:\\\*){1,3}"),
    _of("[,;:\u3001]"),
    _of("[?!]+"),
    _of(r"[.\u00a1\u00bf\u037e\u0589\u061f\u06d4\u0700-\u0702\u07fa\u3002]"),
    _of("="),
    _of(r"[cC]\+\+|[cCfF]#"),
    _of("/"),
    _of(_HYPHENATED, written=_soft),
    _of(rf"{_HYPHENATED}\.", r"[,;:\u3001]", _soft),
    _of(rf"{_THING}\.", r"[,;:\u3001]"),
    _of(_THING),
    _of(r"[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+", written=lambda text: text.replace("&amp;", "&")),
    _of("'", r"[A-Za-z][^ \t\n\r\u00a0]", _always("`")),
    _of(_REDAUX, written=_apostrophe),
    _of(_SREDAUX, written=_apostrophe),
    _of("'|&apos;|[`\u2018-\u201f\u0082\u0084\u0091-\u0094\u2039\u203a\u00ab\u00bb]{1,2}", written=_quotes),
    _of("<<|>>"),
    _of(
        r"[+%&~\^|\\\u00a6\u00a7\u00a8\u00a9\u00ac\u00ae\u00af\u00b0-\u00b3\u00b4-\u00ba\u00d7\u00f7\u2016\u2017\u2020-\u2025"
        r"\u2030-\u2038\u203b\u203e-\u2042\u2044\u207a-\u207f\u208a-\u208e\u2100-\u214f\u2190-\u21ff\u2200-\u2bff"
        r"\u3001-\u3006\u3008-\u3020\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
    ),
)
