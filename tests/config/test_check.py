"""Ranges, references and combinations that are not safe to start."""

from __future__ import annotations

import pytest

DIGEST = "ab" * 32
KEY = f'[[gateway.keys]]\nname = "a"\nsha256 = "{DIGEST}"\n'


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[telemetry]\notlp_endpoint = 'collector:4318'", "telemetry.otlp_endpoint must look like http://127.0.0.1:4318"),
        ("[telemetry]\notlp_endpoint = 'http://b\u00fccher:4318'", "telemetry.otlp_endpoint must look like http://"),
        ("[telemetry]\nmax_series = 0", "telemetry.max_series"),
        # the upstream
        ("[upstream]\nbase_url = 'api.anthropic.com'", "upstream.base_url must look like https://api.anthropic.com"),
        ("[upstream]\nbase_url = 'ftp://a'", "upstream.base_url must look like https://api.anthropic.com"),
        ("[upstream]\nbase_url = 'https://'", "upstream.base_url must look like https://api.anthropic.com"),
        ("[upstream]\nbase_url = 'https://a:b'", "upstream.base_url must look like https://api.anthropic.com"),
        ("[upstream]\nbase_url = 'https://a:0'", "upstream.base_url must look like https://api.anthropic.com"),
        ("[upstream]\nbase_url = 'https://[a'", "upstream.base_url must look like https://api.anthropic.com"),
        ("[upstream]\nbase_url = 'https://u:p@a'", "upstream.base_url must hold no credential"),
        ("[upstream]\nbase_url = 'https://a?key=1'", "upstream.base_url must hold no credential, query or fragment"),
        ("[upstream]\nbase_url = 'https://a/v1/'", "upstream.base_url must not end in /v1"),
        ("[upstream]\nbase_url = 'http://a.example'", "upstream.base_url is plain http to a.example"),
        ("[upstream]\ntier = 'gold'", "upstream.tier must be one of start, build, scale"),
        ("[upstream]\nca_file = '/nonexistent.pem'", "upstream.ca_file '/nonexistent.pem' cannot be read"),
        ("[[upstream.credentials]]\nname = 'default'", "two upstream credentials are called 'default', as the key"),
        ("[[upstream.credentials]]\nname = 'b'\n" * 2, "two upstream credentials are called 'b'; give each a name"),
        ("[[upstream.credentials]]\nname = ''", "upstream.credentials: a name must be 1 to 64 characters in one line"),
        ("[[upstream.credentials]]\nname = \"a\\nb\"", "in one line, without blanks around them, such as"),
        ("[[upstream.credentials]]\nname = 'b '", "without blanks around them"),
        (f"[[upstream.credentials]]\nname = '{'b' * 65}'", "1 to 64 characters"),
        ("[upstream]\napi_key_id = 'a'\n[[upstream.credentials]]\nname = 'b'", "must be given for all keys"),
        ("[upstream]\napi_key_file = 'f'\n[[upstream.credentials]]\nname = 'b'\napi_key_id = 'b'", "or for none"),
        ("[upstream]\napi_key_id = 'b'\n[[upstream.credentials]]\nname = 'b'\napi_key_id = 'b'", "each its own"),
        (f"[[gateway.keys]]\nname = ' '\nsha256 = '{DIGEST}'", "gateway.keys: a name must be 1 to 64 characters"),
        # alerts
        ("[alerts.rules.error_rat]\noff = true", "alerts.rules.error_rat is no rule; did you mean 'error_rate'?"),
        ("[alerts.rules.error_rate]\nthreshold = -1", "error_rate.threshold must be a number of 0 or more"),
        ("[alerts.rules.error_rate]\nthresholds = { a = 1 }", "the rule has one threshold; set `threshold`"),
        ("[alerts.rules.workflow_p95]\nthresholds = { a = -1 }", "workflow_p95.thresholds.a must be a number of 0"),
        # lanes and workflows
        ("[lanes.'']\nweight = 1", "the name of a lane must be 1 to 64 characters"),
        ("[lanes.bulk]\nweight = 1e-320", "lanes.bulk.weight must be between 0.001 and 1000; it is a share"),
        ("[lanes.bulk]\nweight = 1001", "lanes.bulk.weight must be between 0.001 and 1000"),
        ("[lanes.bulk]\ntime_zone = 'Europe/Berlin'", "lanes.bulk.time_zone without lanes.bulk.open, so"),
        ("[lanes.bulk]\nholidays = ['2026-12-25']", "lanes.bulk.holidays without lanes.bulk.open, so"),
        ("default_lane = 'night'", "there is no lane 'night'; lanes are interactive, standard, bulk"),
        ("[workflows.chat]\nlane = 'night'", "there is no lane 'night'"),
        (f"{KEY}lane = 'night'", "caller key 'a': there is no lane 'night'"),
        (f"{KEY}lanes = ['bulk', 'night']", "caller key 'a': there is no lane 'night'"),
        ("[lanes.bulk]\nweight = 0", "lanes.bulk.weight must be a number above 0"),
        ("[lanes.bulk]\nweight = -1", "lanes.bulk.weight must be a number above 0"),
        ("[lanes.bulk]\nmax_wait_s = -1", "lanes.bulk.max_wait_s must be a number of 0 or more"),
        ("[lanes.bulk]\nmax_wait_s = nan", "lanes.bulk.max_wait_s must be a number of 0 or more"),
        ("[lanes.bulk]\ntotal_timeout_s = inf", "lanes.bulk.total_timeout_s must be a number above 0"),
        ("[lanes.bulk]\nopen = ['Mon-Fri 20-6']", "lanes.bulk: 'Mon-Fri 20-6' must look like \"Mon-Fri 20:00-06:00\""),
        ("[lanes.bulk]\nopen = ['20:00-06:00']\ntime_zone = 'Berlin'", "'Berlin' is no time zone"),
        ("[lanes.bulk]\nopen = ['20:00-06:00']\nholidays = ['25.12.']", "'25.12.' must be a date"),
        ("[batches]\npoll_s = 0", "batches.poll_s must be"),
        ("[batches]\nmax_requests = 100_001", "batches.max_requests must not be above 100,000: the API's limit"),
        ("[batches]\nmax_mb = 257", "batches.max_mb must not be above 256: the API's limit"),
        ("[batches]\nreserve_s = 1801", "batches.reserve_s must not be more than half of batches.min_patience_s"),
        ("[workflows.a]\nbatch = true\n[lanes.standard]\ntotal_timeout_s = 9", "no call of its lane has more than 9 s"),
        ("[workflows.a]\njoin_max = 33", "workflows.a.join_max must be a whole number from 0 to 32"),
        ("[workflows.a]\njoin_max = -1", "workflows.a.join_max must be a whole number from 0 to 32"),
        ("[workflows.a]\njoin_window_s = 0", "workflows.a.join_window_s must be a number above 0 and at most 600"),
        ("[workflows.a]\njoin_window_s = inf", "workflows.a.join_window_s must be a number above 0 and at most 600"),
        ("[workflows.a]\njoin_within_s = 0", "workflows.a.join_within_s must be a number above 0"),
        ("[workflows.a]\njoin_max = 8\ntraceable = true", "take out one of the two"),
        ("[workflows.a]\njoin_users = true", "workflows.a.join_users without join_max"),
        ("[workflows.a]\nmax_tokens = 0", "workflows.a.max_tokens must be a number above 0"),
        ("[workflows.a]\nhistory_max_turns = 0", "workflows.a.history_max_turns must be a number above 0"),
        ("[workflows.a]\ndeadline_s = inf", "workflows.a.deadline_s must be a number above 0"),
        ("[workflows.a]\nmax_tokens = 9\nmax_tokens_ceiling = 8", "lower it, or raise the ceiling"),
        ("[workflows.a]\nmodel = 'x'\nmodels = ['y']", "workflows.a.model is not among workflows.a.models"),
        ("[[workflows.a.rules]]\ntag = 'x'", "workflows.a.rules[0].model is missing"),
        ("[[workflows.a.rules]]\nmodel = 'x'\nmax_input_tokens = 0", "rules[0].max_input_tokens must be a whole"),
        ("[workflows.a]\nmemo_max_age_s = 0", "workflows.a.memo_max_age_s must be a number above 0"),
        ("[workflows.a]\nmemo = true\ntraceable = true", "take out one of the two"),
        ("[workflows.a]\nmemo_users = true", "workflows.a.memo_users without memo"),
        ("[workflows.a]\nkeep_warm = ['9-5']", "the hours of workflows.a.keep_warm: '9-5' must look like"),
        ("[workflows.a]\nkeep_warm_time_zone = 'Europe/Berlin'", "keep_warm_time_zone without keep_warm"),
        ("[workflows.a]\nkeep_warm = ['08:00-18:00']\nprompt_cache = 'off'", "keep_warm without the prompt cache"),
        (
            "[workflows.a]\nlane = 'bulk'\nkeep_warm = ['08:00-18:00']\n[lanes.bulk]\nopen = ['20:00-06:00']",
            "lane bulk, which is closed in all of these hours (lanes.bulk.open), so that nothing is kept warm; open",
        ),
        # budgets
        ("[budgets.a]\nusd = '0'", "budgets.a.usd must be more than 0"),
        ("[budgets.a]\nusd = '-1'", "budgets.a.usd must be US dollars in quotes"),
        ("[budgets.a]\nusd = '1,000.50'", 'usd must be US dollars without commas in quotes, such as "1000.50"'),
        ("[budgets.a]\nusd = '6000000'", "at most 5000000 dollars"),
        ("[budgets.a]\nusd = 5.0", "budgets.a.usd must be text"),
        ("[budgets.a]\nwindow = 'day'", "budgets.a.usd is missing"),
        ("[budgets.'a b']\nusd = '1'", "stands under a name that is not 1 to 64 of the characters"),
        ("[budgets.a]\nusd = '1'\nwindow = 'year'", 'budgets.a.window must be "call" or "session"'),
        ("[budgets.a]\nusd = '1'\ntime_zone = 'Amsterdam'", "budgets.a.time_zone must be a time zone such as"),
        ("[budgets.a]\nusd = '1'\nwindow = 'call'\ntime_zone = 'Asia/Kolkata'", 'means nothing with window = "call"'),
        ("[budgets.a]\nusd = '1'\nper = ['user', 'user']", "budgets.a.per must list some of team, caller_key"),
        ("[budgets.a]\nusd = '1'\nper = ['person']", "budgets.a.per must list some of team, caller_key"),
        ("[budgets.a]\nusd = '1'\nuser = 'ada@example.com'", "of a mail address the digest"),
        ("[budgets.a]\nusd = '1'\nworkflow = 'two words'", "budgets.a.workflow must be 1 to 64 of the characters"),
        ("[budgets.a]\nusd = '1'\nwarn_at = 80.0", "budgets.a.warn_at must be a share of the budget from 0 to 1"),
        ("[budgets.a]\nusd = '1'\nmode = 'strict'\nrefuse_at = 0.0", "budgets.a.refuse_at is 0, so nothing is refused"),
        ("[budgets.a]\nusd = '1'\nwarn_at = 0.9\nrefuse_at = 0.6", "a.warn_at is 0.9, and refuse_at is 0.6"),
        ("[budgets.a]\nusd = '1'\nwarn_at = 0.9\nslow = 'lane:bulk'", "a.warn_at is 0.9, and slow_at is 0.8"),
        ("[budgets.a]\nusd = '1'\nrefuse_at = 0.7\nslow = 'lane:bulk'", "slow_at is 0.8, and refuse_at is 0.7"),
        ("[budgets.a]\nusd = '1'\nslow = 'lane:night'", 'budgets.a.slow must be "lane:NAME" or "model:NAME"'),
        ("[budgets.a]\nusd = '1'\nslow = 'bulk'", 'budgets.a.slow must be "lane:NAME" or "model:NAME"'),
        ("[budgets.a]\nusd = '1'\ncaller_key = 'k'", "there is no caller key 'k' in gateway.keys"),
        # fallbacks
        ("[workflows.a]\nfallbacks = ['haiku']", "workflows.a.fallbacks: 'haiku' is no fallback; there are"),
        ("[workflows.a]\nfallbacks = ['canned']", "set workflows.a.canned"),
        ("[workflows.a.fallbacks_on]\noverloaded = ['canned']", "set workflows.a.canned"),
        ("[workflows.a.fallbacks_on]\noverload = []", "fallbacks_on: 'overload' is nothing to fall back on"),
        ("[workflows.a.fallbacks_on]\ninvalid_request = []", "the request itself is wrong"),
        ("[workflows.a.fallbacks_on]\ninvalid_request_error = []", "'invalid_request_error' says that the request"),
        ("[workflows.a.fallbacks_on]\noverloaded_error = []", "'overloaded_error' is the API's word; write overloaded"),
        ("[workflows.a.fallbacks_on]\nenforced_spend_limit_reached = []", "is the API's word; write spend_limit"),
        ("[workflows.a]\nqueued = 'Later.'", "workflows.a.queued must say {ticket}"),
        ("[memo]\nmax_mb = 0", "memo.max_mb must be a number above 0"),
        # numbers
        ("[gateway]\nport = 65536", "gateway.port must be between 0 and 65535"),
        ("[admin]\nport = -1", "admin.port must be between 0 and 65535"),
        ("[gateway]\nmax_body_mb = 0", "gateway.max_body_mb must be a number above 0"),
        ("[gateway]\nping_interval_s = inf", "gateway.ping_interval_s must be a number above 0"),
        ("[gateway]\ndrain_s = -1", "gateway.drain_s must be a number of 0 or more"),
        ("[gateway]\nbuffered_mb = 8", "gateway.buffered_mb is less than gateway.max_body_mb"),
        ("[retry]\nmax_attempts = 0", "retry.max_attempts must be a number above 0"),
        ("[retry]\nhold_s = -0.1", "retry.hold_s must be a number of 0 or more"),
        ("[retry]\nbase_s = 21", "retry.base_s is more than retry.cap_s, the longest wait that is drawn"),
        ("[retry]\ncap_s = nan", "retry.cap_s must be a number above 0"),
        ("[limits]\nramp_growth = 1", "limits.ramp_growth must be a number above 1"),
        ("[limits]\nramp_growth = inf", "limits.ramp_growth must be a number above 1"),
        ("[limits]\nper_user_rpm = 0", "limits.per_user_rpm must be a whole number above 0"),
        ("[workflows.a]\nper_session_rpm = -1", "workflows.a.per_session_rpm must be a whole number of 0 or more"),
        ("[workflows.a]\nmax_concurrency = 0", "workflows.a.max_concurrency must be a whole number of 1 or more"),
        ("[workflows.a]\nkeep_samples = -1", "workflows.a.keep_samples must be a whole number of 0 or more"),
        ("[limits]\nshare_by = 'user'\n[workflows.a]\nmax_concurrency = 3", 'set limits.share_by = "workflow"'),
        ("[estimates]\ncount_from_tokens = -1", "estimates.count_from_tokens must be a number of 0 or more"),
        ("[limits]\nburst_s = 0", "limits.burst_s must be a number above 0"),
        ("[limits.pools.'sonet-5.5']\nitpm = 9", "there is no pool 'sonet-5.5'; did you mean 'sonnet-5.5'?"),
        ("[limits.pools.'sonnet-5.5:slow']\nitpm = 9", "there is no pool 'sonnet-5.5:slow'"),
        ("[limits.pools.'sonnet-5.5']\nitpm = 0", "itpm must be a whole number above 0"),
        ("[ledger]\ncommit_interval_s = 0", "ledger.commit_interval_s must be a number above 0"),
        # listeners and keys
        ("[gateway]\nhost = '0.0.0.0'", "no caller keys are configured, so anyone could spend your money"),
        ("[gateway]\nhost = '::'", "no caller keys are configured"),
        ("[gateway]\nhost = 'gate.example'", "no caller keys are configured"),
        ("[admin]\nhost = '10.0.0.1'", "there is no token; set admin.token_file, or listen on 127.0.0.1"),
        ("[admin]\ntoken = 'short'", "admin.token must have at least 16 characters"),
        ("[gateway]\nport = 9000\n[admin]\nport = 9000", "gateway.port and admin.port are the same"),
        ("[gateway]\npublic_url = 'gate.example'", "gateway.public_url must look like https://"),
        ("[gateway]\npublic_url = 'https://gate.example?x=1'", "gateway.public_url must look like https://"),
        ("[[gateway.keys]]\nname = 'a'\nsha256 = 'sk-CANARY'", "sha256 must be 64 hex digits"),
        (f"[[gateway.keys]]\nname = 'a'\nsha256 = '{DIGEST.upper()}'", "sha256 must be 64 hex digits"),
        (KEY + KEY, "two caller keys are the same key"),
        ("[gateway]\nunmetered_paths = ['/v1/messages/']", "must be a first step under /v1/"),
        ("[gateway]\nunmetered_paths = ['/v1/../x']", "must be a first step under /v1/"),
        ("[gateway]\nunmetered_paths = ['/v1/organizations']", "cannot be /v1/organizations"),
    ],
)  # fmt: skip
def test_what_is_not_safe_to_start_is_told_with_its_line_and_a_remedy(refuse, toml, words):
    """Every bound, reference and combination, before anything listens."""
    told = refuse(toml)

    assert told.startswith("headgate.toml:")
    assert words in told
    assert "CANARY" not in told


@pytest.mark.parametrize(
    "toml",
    [
        "[upstream]\nbase_url = 'http://127.0.0.1:8789'",
        "[upstream]\nbase_url = 'http://localhost:8789/prefix/'",
        "[upstream]\nbase_url = 'http://[::1]:8789'",
        "[upstream]\nbase_url = 'https://proxy.example/anthropic'",
        "[lanes.bulk]\nmax_wait_s = 0\nmax_queue = 0",
        "[lanes.bulk]\nweight = 0.001\n[lanes.interactive]\nweight = 1000",
        "[retry]\nbase_s = 20",
        "[[upstream.credentials]]\nname = 'second key'",
        "[[upstream.credentials]]\nname = 'b'\napi_key_id = 'apikey_1'",
        "[lanes.bulk]\nopen = ['Sat,Sun 00:00-24:00']\ntime_zone = 'Europe/Berlin'\nholidays = ['2026-12-25']",
        "[limits]\nper_user_rpm = 1\n[workflows.a]\nper_user_rpm = 0\nmax_concurrency = 1",
        "[workflows.a]\nfallbacks = ['stale', 'model:claude-haiku-5-5', 'canned']\ncanned = 'x'\n"
        "[workflows.a.fallbacks_on]\noverloaded = ['canned']\nwait_too_long = []\nrefusal = ['stale']",
        "[gateway]\nport = 0\n[admin]\nport = 0",
        "[gateway]\nhost = '127.9.9.9'",
        "[gateway]\nhost = '[::1]'",
        f"[gateway]\nhost = '0.0.0.0'\n{KEY}",
        "[admin]\nhost = '0.0.0.0'\ntoken = 'sixteen characters'",
        "[retry]\nmax_attempts = 1\nhold_s = 0",
        "[gateway]\npublic_url = 'https://gate.example/claude/'",
        "[gateway]\nunmetered_paths = ['/v1/sessions']",
        "[limits.pools.'sonnet-5.5']\nrpm = 1",
        "[limits.pools.'opus-5.5:fast']\nitpm = 1",
        "[limits.pools.claude-next-1]\nitpm = 1",
        "[limits.pools.count_tokens]\nrpm = 1",
        "[upstream]\ntier = 'scale'",
    ],
)
def test_what_is_safe_starts(load, toml):
    """The bounds themselves, and the loopback in all its forms."""
    assert load(toml)


def test_a_wrong_variable_is_named_in_place_of_a_line(refuse):
    """Whoever set it."""
    assert refuse(HEADGATE_RETRY__MAX_ATTEMPTS="0") == (
        "environment HEADGATE_RETRY__MAX_ATTEMPTS: retry.max_attempts must be a number above 0"
    )
