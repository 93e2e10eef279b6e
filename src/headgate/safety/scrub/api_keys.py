"""API keys, tokens and private keys that their makers gave a form of their own: anchored by a prefix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.finding import Finding, Window

__all__ = ["FORMS", "find_api_keys"]


class Form(NamedTuple):
    """How the keys of one maker look."""

    maker: str
    signs: tuple[str, ...]
    """Each such key has one of these in it."""
    pattern: re.Pattern[str]
    type: FindingType = FindingType.API_KEY
    inside: bool = False
    """Whether the sign may stand inside; else the key begins with it."""


def _form(
    maker: str, signs: str, pattern: str, type: FindingType = FindingType.API_KEY, *, inside: bool = False
) -> Form:
    return Form(maker, tuple(signs.split(" ")), re.compile(rf"(?<![A-Za-z0-9])(?:{pattern})"), type, inside)


FORMS: tuple[Form, ...] = (
    _form("private key", "-----BEGIN",
          r"-----BEGIN[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=\s\\:,.()]|-(?!----)){0,7900}+"
          r"(?:-----END[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?", FindingType.PRIVATE_KEY),
    _form("private key without its dashes", "BEGIN ",
          r"BEGIN (?:DSA |EC |OPENSSH |PGP |RSA |SSH2 ENCRYPTED |ENCRYPTED )?PRIVATE KEY", FindingType.PRIVATE_KEY),
    _form("PuTTY", "PuTTY-User-Key",
          r"PuTTY-User-Key-File-[23](?:: (?:(?!Private-MAC)[\s\S]){20,4000}+(?:Private-MAC: [0-9a-f]{40,64})?)?",
          FindingType.PRIVATE_KEY),
    _form("age", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}", FindingType.PRIVATE_KEY),
    _form("Anthropic", "sk-ant-", r"sk-ant-[A-Za-z0-9_-]{8,512}"),
    _form("Headgate", "headgate_", r"headgate_(?=[\w-]{0,99}[A-Z])(?=[\w-]{0,99}[0-9])[\w-]{16,128}"),
    _form("OpenAI", "sk-",
          r"sk-(?:proj|svcacct|admin|None|or-v1|lf)-[A-Za-z0-9_-]{20,256}|sk-[A-Za-z0-9]{32,64}(?![\w-])"),
    _form("AWS id", "AKIA ASIA ABIA ACCA AGPA AIDA AROA AIPA ANPA ANVA A3T",
          r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _form("AWS Bedrock", "ABSK bedrock-api-key-",
          r"ABSK[A-Za-z0-9+/]{60,200}={0,2}|bedrock-api-key-[A-Za-z0-9+/=]{20,400}"),
    _form("Google", "AIza", r"AIza[\w-]{35}(?![\w-])"),
    _form("Google OAuth", "ya29. GOCSPX- 1//0", r"ya29\.[\w-]{20,400}|GOCSPX-[\w-]{20,40}|1//0[\w-]{40,200}"),
    _form("GitHub", "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
          r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{50,255}"),
    _form("GitLab", "glpat- gldt- glft glsoat- glrt- glimt- glptt- glagent- gloas- glcbt- glffct- GR1348941",
          r"glpat-[\w-]{20,300}(?:\.[\w.]{2,40})?|gldt-[\w-]{20,50}|glft-[\w-]{20,50}|glsoat-[\w-]{20,50}|"
          r"glrt-[\w-]{20,50}|glimt-[\w-]{25}(?![\w-])|glptt-[0-9a-zA-Z_-]{40}(?![\w-])|glagent-[\w-]{50,1024}|"
          r"gloas-[\w-]{64}|glcbt-[\w-]{20,60}|glffct-[\w-]{20,50}|GR1348941[\w-]{20,50}"),
    _form("Slack", "xox xapp- xwfp-",
          r"xox[abeoprs](?:\.xox[bp])?-(?=[\w-]{0,60}\d)[\w-]{10,250}|xapp-\d-[\w-]{20,200}|xwfp-[\w-]{20,100}"),
    _form("webhook", "hooks.slack.com discord webhook.office.com hooks.zapier.com",
          r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/+-]{20,120}|"
          r"discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{40,100}|"
          r"webhook\.office\.com/webhookb2/[\w@/-]{40,300}|hooks\.zapier\.com/hooks/catch/\w{4,12}/\w{4,12}"),
    _form("Stripe", "sk_ rk_ whsec_", r"(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,247}|whsec_[A-Za-z0-9+/=]{24,80}"),
    _form("npm", "npm_ _authToken=", r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])|_authToken=\"?[\w-]{10,80}"),
    _form("PyPI", "pypi-", r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{70,400}"),
    _form("Hugging Face", "hf_ api_org_",
          r"hf_[A-Za-z]{34}(?![A-Za-z])|hf_[A-Za-z0-9]{30,40}(?![\w])|api_org_[A-Za-z]{34}"),
    _form("SendGrid", "SG.", r"SG\.[\w-]{16,32}\.[\w-]{32,64}"),
    _form("Mailchimp", "-us", r"[0-9a-f]{32}-us[0-9]{1,2}(?![\w])", inside=True),
    _form("Mailgun", "key-", r"key-[0-9a-f]{32}(?![\w])"),
    _form("Twilio", "AC SK", r"(?:AC|SK)[0-9a-z]{32}(?![A-Za-z0-9])"),
    _form("Square", "sq0 EAAA", r"sq0[a-z]{3}-[\w-]{22,43}|EAAA[\w-]{60}(?![\w-])"),
    _form("PayPal, Braintree", "access_token$", r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}"),
    _form("Shopify", "shp", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _form("DigitalOcean", "do", r"do[opr]_v1_[0-9a-f]{64}"),
    _form("HashiCorp", "hvs. hvb. hvr. atlasv1.", r"hv[bsr]\.[\w-]{24,300}|atlasv1\.[\w=-]{60,70}"),
    _form("Databricks", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?(?![\w])"),
    _form("Linear, Notion, Figma", "lin_ ntn_ secret_ figd_",
          r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}|ntn_[A-Za-z0-9]{40,60}|secret_[A-Za-z0-9]{43}(?![\w])|figd_[\w-]{36,60}"),
    _form("Telegram", ":A", r"\d{8,10}:A[\w-]{34}(?![\w-])", inside=True),
    _form("Discord", "M N O", r"[MNO][A-Za-z\d_-]{23,25}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])"),
    _form("JSON web token", "eyJ",
          r"(?<![\w-])eyJ[\w-]{8,4000}={0,2}\.(?:eyJ|ewo|ewog|e30)[\w-]{0,4000}={0,2}(?:\.[\w-]{2,4000}){0,3}"),
    _form("Azure storage", "AccountKey= SharedAccessKey=",
          r"(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,100}={0,2}"),
    _form("Azure", "8Q~ AzSe", r"[\w~.-]{3}8Q~[\w~.-]{34}|AzSe[A-Za-z0-9]{30,60}", inside=True),
    _form("Artifactory", "AKC AP cmVmdGtuO",
          r"AKC[A-Za-z0-9]{10,80}(?![\w-])|AP[\dA-F](?=[A-Z]{0,80}[a-z0-9])[A-Za-z0-9]{8,80}(?![\w-])|"
          r"cmVmdGtuO[A-Za-z0-9+/=]{40,100}"),
    _form("Atlassian", "ATATT ATCTT ATBB", r"AT(?:ATT3|CTT3)[\w=-]{60,300}|ATBB[\w]{24,40}"),
    _form("Heroku, PlanetScale, Dynatrace, Resend", "HRKU- pscale_ dt0c01. re_",
          r"HRKU-[\w-]{36,70}|pscale_(?:pw|tkn|oauth)_[\w.=-]{32,70}|dt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}|"
          r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}(?![\w])"),
    _form("Docker", "dckr_", r"dckr_(?:pat|oat)_[\w-]{20,60}"),
    _form("Grafana", "glsa_ glc_ eyJrIjoi",
          r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/=]{32,400}|eyJrIjoi[A-Za-z0-9+/=]{50,400}"),
    _form("New Relic, Sentry", "NRAK- NRJS- sntry",
          r"NR(?:AK|JS|II|RA)-[A-Za-z0-9-]{19,42}|sntry[su]_[\w=+/-]{40,400}"),
    _form("Postman, Pulumi, Doppler", "PMAK- pul- dp.",
          r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}|pul-[0-9a-f]{40}|"
          r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,60}"),
    _form("RubyGems, crates.io", "rubygems_ cio", r"rubygems_[0-9a-f]{48}|cio[A-Za-z0-9]{32}(?![A-Za-z0-9])"),
    _form("Groq, xAI, Perplexity, Replicate", "gsk_ xai- pplx- r8_ fw_ tvly-",
          r"gsk_[A-Za-z0-9]{40,60}|xai-[A-Za-z0-9]{60,90}|pplx-[A-Za-z0-9]{40,60}|r8_[A-Za-z0-9]{37}|fw_[A-Za-z0-9]{22,40}|tvly-[\w-]{28,60}"),
    _form("Supabase, Vercel, Netlify", "sbp_ sb_secret_ vercel_ nfp_",
          r"sbp_[0-9a-f]{40}|sb_secret_[\w-]{20,60}|vercel_[a-z]{2,6}_[\w]{20,60}|nfp_[A-Za-z0-9]{36,40}"),
    _form("Alibaba, Tencent, Yandex", "LTAI AKID AQVN",
          r"LTAI[A-Za-z0-9]{12,26}(?![\w])|AKID[A-Za-z0-9]{32}(?![\w])|AQVN[\w-]{35,38}"),
    _form("Facebook", "EAA", r"EAA[MC][A-Za-z0-9]{60,250}"),
    _form("1Password", "A3- ops_eyJ",
          r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}|"
          r"ops_eyJ[A-Za-z0-9+/=]{60,900}"),
)  # fmt: skip


def find_api_keys(window: Window) -> Iterator[Finding]:
    """Keys of every form, but not what stands for one in documentation."""
    for form in FORMS:
        for sign in form.signs:
            for found in _with_sign(window, form, sign) if sign in window.text else ():
                if not _BLANKED.search(found[0]):
                    yield Finding(found.start(), found.end(), form.type)


def _with_sign(window: Window, form: Form, sign: str) -> Iterator[re.Match[str]]:
    if form.inside:
        yield from window.matches(form.pattern)
        return
    at = window.text.find(sign, window.start, window.end + len(sign) - 1)
    while at >= 0:
        found = form.pattern.match(window.text, at)
        if found is not None:
            yield found
        at = window.text.find(sign, found.end() if found else at + 1, window.end + len(sign) - 1)


_BLANKED = re.compile(r"REDACTED|\*{4}|\.{6}|<[a-z]", re.IGNORECASE)
