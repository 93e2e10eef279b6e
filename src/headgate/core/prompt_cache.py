"""Where to put cache markers, and for how long, so that prompts cost least (claude-api.md §9).

For every call the planner finds out how much of its prompt it has seen before and when, tells the statistics (reuse.py)
what has come again, and asks them what of this prompt will.  What the cache holds is marked, since reading is cheap and
makes it live on; beyond it the prompt is written up to the border at which the expected saving is greatest, for five
minutes or an hour, if the stakes (cache_stakes.py) allow it.  A border that is marked stays marked for as long as it
lives, so a conversation is treated alike from turn to turn.

Pure: time is an argument, in seconds on any clock that never goes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from headgate.core.body import Ttl
from headgate.core.cache_plan import Habit, Keep, KeptPart, Node, Plan, Terms
from headgate.core.cache_stakes import CacheStakes
from headgate.core.prefix import MOST_MARKERS, TTL_S, Border
from headgate.core.reuse import Reuse, Sighting
from headgate.core.stretches import Stretch, Stretches, growth_of

__all__ = ["Planner"]

BORDERS_KEPT = 100_000
"""Borders remembered; the longest unused are forgotten."""
LEAST_KEPT_ALIVE_TOKENS = 2_000
"""Shorter beginnings are not worth a request of their own."""
LEAST_CHANCE_KEPT = 0.03
"""That a beginning is used in the five minutes after five in which it was not.  With less it is not held in memory for
that; with more it is looked at again when it is due."""

MOMENT_S = 1.0
"""For so long what was decided for one prompt goes for others like it."""


class _Prompt(NamedTuple):
    """A prompt by the borders that can be marked, which are counted from 0."""

    terms: Terms
    tokens_per_byte: float
    now_s: float
    borders: Sequence[Border]
    sizes: Sequence[int]
    """Bytes up to each border."""

    def size(self, at: int) -> int:
        """Bytes up to a border; 0 for none, -1."""
        return self.sizes[at] if at >= 0 else 0

    def stake(self, hot: int, hour: int, last: int) -> float:
        """What writing beyond `hot` costs above the price of input: up to `hour` for an hour, the rest up to `last`."""
        read = self.size(hot)
        for_an_hour = max(read, self.size(hour))
        for_5m = max(for_an_hour, self.size(last))
        terms = self.terms
        return self.tokens_per_byte * (
            (for_an_hour - read) * (terms.write_1h - terms.input)
            + (for_5m - for_an_hour) * (terms.write_5m - terms.input)
        )


class Planner:
    """Plans for all calls that share a cache."""

    def __init__(self, *, keeps_alive: bool = False, kept: int = BORDERS_KEPT) -> None:
        self.stakes = CacheStakes()
        self._keeps_alive = keeps_alive
        self._kept = kept
        self._nodes: OrderedDict[int, Node] = OrderedDict()
        self._reuse = Reuse()
        self._stretches = Stretches()

    def __len__(self) -> int:
        return len(self._nodes)

    def plan(
        self, workflow: str, borders: Sequence[Border], terms: Terms, *, tokens_per_byte: float, now_s: float
    ) -> Plan:
        """Decide for a call that is about to be sent.

        Args:
            borders: of its whole prompt.
            tokens_per_byte: what the estimator says of this kind of call.
        """
        plan = Plan(terms)
        if not borders:
            return plan
        total = borders[-1][1]
        self.stakes.prompt(total * tokens_per_byte * terms.input, now_s)
        least_size = terms.least_tokens / tokens_per_byte
        if total < least_size:
            return plan
        places, known = self._known(borders, least_size)
        if places:
            growth = growth_of(total - places[len(known) - 1][1] if known else total)
            if known and self._as_usual(plan, places, known, growth, now_s):
                return plan
            self._reuse.pass_time(now_s)
            sizes = [border.size for border in places]
            prompt = _Prompt(terms, tokens_per_byte, now_s, places, sizes)
            self._tell(prompt, known)
            hot = -1
            for at, node in enumerate(known):
                if node.until_s > now_s:
                    hot = at
            stretches = self._stretches.of(workflow, places, known, total=total, growth=growth, now_s=now_s)
            sighting = self._reuse.watch([stretch.segment for stretch in stretches], now_s)
            nodes = self._remember(prompt, known, sighting)
            hour, last = self._choose(prompt, stretches, hot)
            if last > hot:
                hour, last = self._afford(prompt, stretches, hot, hour, last)
            if hot >= 0 or last >= 0:
                self._mark(plan, prompt, stretches, nodes, hot, hour, last)
            if known and hot >= 0 and not plan.written:  # what is not marked yet may be worth it at the next look
                index = {border.digest: at for at, border in enumerate(places)}
                markers = tuple(
                    (index[border.digest], ttl)
                    for border, ttl in plan.markers
                    if nodes[index[border.digest]].until_s > now_s
                )
                known[-1].habit = Habit(now_s + MOMENT_S, len(places) - len(known), growth, markers)
        return plan

    def _as_usual(self, plan: Plan, places: Sequence[Border], known: Sequence[Node], growth: int, now_s: float) -> bool:
        """Do for it what was done for one like it just now, if there was one."""
        habit = known[-1].habit
        fresh = len(places) - len(known)
        if habit is None or now_s >= habit.until_s or habit.fresh != fresh or habit.growth != growth:
            return False
        for at, _ in habit.markers:
            if known[at].until_s <= now_s:
                return False
        for at, ttl in habit.markers:
            node = known[at]
            until_s = now_s + TTL_S[node.ttl]
            if node.until_s < until_s:
                node.until_s = until_s
            plan.markers.append((places[at], ttl))
            plan.to_read.append(node)
        if fresh:
            nodes = self._nodes
            for border in places[len(known) :]:
                nodes[border[0]] = Node(None, now_s)
            if len(nodes) > self._kept:
                self._shrink()
        return True

    def fill(self, borders: Sequence[Border], terms: Terms, *, ttl: Ttl, tokens_per_byte: float, now_s: float) -> Plan:
        """Decide for a request that asks for no answer, so for nothing but that the cache holds its prompt: tools and
        system prompt, and all of it if what follows is longer, for `ttl` unless it lives already."""
        plan = Plan(terms, fills=True)
        least_size = terms.least_tokens / tokens_per_byte
        places = [border for border in borders if border.size >= least_size and border.part]
        instructions = next((border for border in reversed(places) if border.part != "messages"), None)
        wanted = [] if instructions is None else [instructions]
        if places and (instructions is None or places[-1].size > 2 * instructions.size):
            wanted.append(places[-1])
        for border in places:
            self._nodes.setdefault(border.digest, Node(None, now_s))
        for border in reversed(wanted):
            node = self._nodes[border.digest]
            if node.until_s > now_s:
                ttl = "1h" if node.ttl == "1h" else ttl  # and of all before it: longer lifetimes come first
                plan.to_read.append(node)
                plan.renewed.append((node, node.until_s))
            elif not plan.to_read:  # what is shorter than what is read is not written
                node.ttl = ttl
                plan.written.append(node)
                rate = terms.write_1h if ttl == "1h" else terms.write_5m
                plan.staked = max(plan.staked, border.size * tokens_per_byte * rate)
            plan.markers.insert(0, (border, ttl))
        for node in (*plan.to_read, *plan.written):
            node.until_s = max(node.until_s, now_s + TTL_S[node.ttl])
        self._shrink()
        self.stakes.add(-plan.staked)
        return plan

    # -- what is known ------------------------------------------------------------------------------------------

    def node(self, digest: int) -> Node | None:
        """What is known of a border; None if it was not seen, or is forgotten."""
        return self._nodes.get(digest)

    def _known(self, borders: Sequence[Border], least_size: float) -> tuple[list[Border], list[Node]]:
        """The borders that can be marked; and what is known of those that were seen before, from the first one on."""
        places = [border for border in borders if border[1] >= least_size and border[2]]
        known: list[Node] = []
        look_up = self._nodes.get
        for border in places:
            node = look_up(border[0])
            if node is None:
                break
            known.append(node)
        return places, known

    def _tell(self, prompt: _Prompt, known: Sequence[Node]) -> None:
        """Tell the statistics which earlier calls share what with this one."""
        sighting: Sighting | None = None
        begin = end = 0
        for node, size in zip(known, prompt.sizes, strict=False):
            if node.sighting is not sighting:
                if sighting is not None:
                    self._reuse.came_again(sighting, begin, end, prompt.now_s)
                sighting = node.sighting
                begin = end
            end = size
        if sighting is not None:
            self._reuse.came_again(sighting, begin, end, prompt.now_s)

    def _remember(self, prompt: _Prompt, known: Sequence[Node], sighting: Sighting | None) -> list[Node]:
        nodes, now_s = self._nodes, prompt.now_s
        found = list(known)
        for at, border in enumerate(prompt.borders):
            if at < len(known):
                node = known[at]
                nodes.move_to_end(border.digest)
                node.sighting = sighting
                node.times += 1
                node.last_s = now_s
            else:
                node = nodes[border.digest] = Node(sighting, now_s)
                found.append(node)
        self._shrink()
        return found

    def _shrink(self) -> None:
        while len(self._nodes) > self._kept:
            self._nodes.popitem(last=False)

    # -- the choice ---------------------------------------------------------------------------------------------

    def _choose(self, prompt: _Prompt, stretches: Sequence[Stretch], hot: int) -> tuple[int, int]:
        """Up to which border to write for an hour, and up to which for five minutes; -1 for none.

        What comes again in time is read instead of written again.
        """
        terms, now_s, read = prompt.terms, prompt.now_s, prompt.size(hot)
        extra_5m, extra_1h = terms.write_5m - terms.input, terms.write_1h - terms.input
        saved, saved_1h = terms.write_5m - terms.read, terms.write_1h - terms.read
        hour, choice = -1, (-1, -1)
        value = lead = best_lead = best = 0.0
        for segment, last in stretches:
            size = segment.end - max(segment.begin, read)
            if size <= 0:
                continue
            chances = segment.context.chances(now_s)
            for_5m = saved * chances.within_5m - extra_5m
            if self._keeps_alive:
                refresh = terms.read * (1.0 - chances.within_5m)
                for_5m = max(for_5m, saved * chances.within_10m - extra_5m - refresh)
            for_1h = saved * chances.within_1h - extra_1h
            if segment.overall is not None:
                # What has been seen goes on coming: an hour is worth it if it is on the long run, however soon the
                # next one comes.
                overall = segment.overall.chances(now_s)
                on_the_run = saved_1h * overall.within_1h - extra_1h - max(0.0, saved * overall.within_5m - extra_5m)
                for_1h = max(for_1h, max(0.0, for_5m) + on_the_run)
            value += size * for_5m
            lead += size * (for_1h - for_5m)
            if lead > best_lead:
                best_lead, hour = lead, last
            if value + best_lead > best:
                best, choice = value + best_lead, (hour, last)
        return choice

    def _afford(self, prompt: _Prompt, stretches: Sequence[Stretch], hot: int, hour: int, last: int) -> tuple[int, int]:
        """As much of it as the stakes allow."""
        room = self.stakes.room
        for at in (last, *(stretch.last for stretch in reversed(stretches) if stretch.last < last)):
            if at <= hot:
                break
            if prompt.stake(hot, min(hour, at), at) <= room:
                return min(hour, at), at
        return -1, -1

    def _mark(
        self,
        plan: Plan,
        prompt: _Prompt,
        stretches: Sequence[Stretch],
        nodes: Sequence[Node],
        hot: int,
        hour: int,
        last: int,
    ) -> None:
        """Markers where it is read and written, and then where calls have parted before, the longest first."""
        now_s = prompt.now_s
        wanted = {at for at in (hot, hour, last) if at >= 0}
        end = max(wanted)
        for seen in (True, False):
            for stretch in reversed(stretches):
                if len(wanted) < MOST_MARKERS and stretch.seen is seen and stretch.last < end:
                    wanted.add(stretch.last)
        ttl: Ttl = "5m"
        for at in sorted(wanted, reverse=True):
            node = nodes[at]
            if at <= hour or (node.until_s > now_s and node.ttl == "1h"):
                ttl = "1h"  # and of all before it: longer lifetimes come first
            plan.markers.append((prompt.borders[at], ttl))
            if node.until_s > now_s:
                plan.to_read.append(node)
                node.until_s = max(node.until_s, now_s + TTL_S[node.ttl])
            elif at > hot:  # what is shorter than what is read is not written
                plan.written.append(node)
                node.ttl = ttl
                node.until_s = now_s + TTL_S[ttl]
        plan.markers.reverse()
        plan.staked = prompt.stake(hot, hour, last)
        self.stakes.add(-plan.staked)
        if self._keeps_alive and nodes[end].ttl == "5m":
            parts: list[KeptPart] = []
            for segment, last in stretches:
                at = min(last, end)
                tokens = (prompt.sizes[at] - segment.begin) * prompt.tokens_per_byte
                if tokens > 0:
                    parts.append(KeptPart(segment.context, tokens, nodes[at], prompt.borders[at]))
            if any(part.context.chances(now_s).from_5m_to_10m > LEAST_CHANCE_KEPT for part in parts):
                plan.keep = Keep(nodes[end], tuple(parts), prompt.terms)

    # -- what came of it ----------------------------------------------------------------------------------------

    def answered(self, plan: Plan, *, read: int, written_5m: int, written_1h: int) -> None:
        """A request with these markers was answered, and so many tokens were read and written."""
        terms = plan.terms
        without = 0.0 if plan.fills else terms.input
        cost = (terms.write_5m - without) * written_5m + (terms.write_1h - without) * written_1h
        self.stakes.add(plan.staked + (without - terms.read) * read - cost)
        plan.staked = 0.0
        if not read:
            _forget(plan.to_read)
        if plan.written and not written_5m and not written_1h and (plan.to_read or not read):
            _forget(plan.written)  # too short after all; else another has written it meanwhile

    # -- keeping alive ------------------------------------------------------------------------------------------

    def worth_renewing(self, keep: Keep, now_s: float) -> KeptPart | None:
        """The last part of its beginning for which a request that only reads it is cheapest, next to what may have to
        be written again without; None if it is better not made.

        What others have used meanwhile lives on by itself; of the rest, enough must have been used in the five minutes
        after five in which it was not.
        """
        terms, room = keep.terms, self.stakes.room
        found, best, gain, tokens = None, 0.0, 0.0, 0.0
        for part in keep.parts:
            tokens += part.tokens
            gain -= terms.read * part.tokens
            if part.node.until_s < keep.node.until_s + MOMENT_S:
                chance = part.context.chances(now_s).from_5m_to_10m
                gain += (terms.write_5m - terms.read) * part.tokens * chance
            lives = part.node.until_s > now_s and part.node.ttl == "5m"
            if gain > best and lives and tokens >= LEAST_KEPT_ALIVE_TOKENS and terms.read * tokens <= room:
                found, best = part, gain
        return found

    def renewed(self, part: KeptPart, terms: Terms, sent_s: float, *, read: int, written: int, fresh: int) -> None:
        """Such a request was answered."""
        self.stakes.add(-(terms.read * read + terms.write_5m * written + terms.input * fresh))
        part.node.until_s = max(part.node.until_s, sent_s + TTL_S["5m"])

    def failed(self, plan: Plan) -> None:
        """It came to nothing, so it has written nothing, nor renewed."""
        self.stakes.add(plan.staked)
        plan.staked = 0.0
        _forget(plan.written)
        for node, until_s in plan.renewed:
            node.until_s = until_s


def _forget(nodes: Sequence[Node]) -> None:
    for node in nodes:
        node.until_s = -inf
