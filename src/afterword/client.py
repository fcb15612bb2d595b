"""The client: one project's view of one store (layer 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, overload

from afterword.codec import clean
from afterword.configuration import configuration, home_of
from afterword.context import last_data_id
from afterword.delivery.erasing import erase
from afterword.delivery.faults import Faults
from afterword.delivery.opening import open_recorder
from afterword.desk import Desk, await_, entries_about, feedback_entries, wait
from afterword.drafting import draft
from afterword.errors import InvalidInput, NoGenerationInContext
from afterword.feedback.rows import FeedbackRow
from afterword.feedback.types import declare
from afterword.ids import check_external_id, looks_minted, new_id
from afterword.keyring import Keyring, Keys
from afterword.listing import one, page, query
from afterword.model import Feedback, FeedbackType, Generation, Page, Status
from afterword.redaction import Redactor, Rule
from afterword.stores import open_store

_READ_FLUSH_S = 2.0
_CLOCK_SLACK_S = 86_400


class Client:
    """Logs generations to a store, gives feedback, and reads both back.

    `url` names the store (``sqlite:///file.db``, ``memory:``), `project` what records belong to
    that do not say otherwise. `secret` is the keyring for feedback tokens, ``kid:secret`` pairs,
    newest first; without one, a store of our own keeps one it made. `redact` adds rules to the
    built-in ones: regular expressions, or callables from text to text. `spool` is the folder for what
    the store cannot take yet, `durability` normal (safe within 100 ms) or strict (safe before a call
    returns). Everything left out comes from the environment (``AFTERWORD_URL`` and so on), then from
    the defaults.

    All methods are safe from any thread. Those without the prefix ``a`` may block.

    Raises:
        ConfigError: an argument or an environment variable is not usable.
    """

    def __init__(
        self,
        url: str | None = None,
        project: str | None = None,
        *,
        api_key: str | None = None,
        secret: str | None = None,
        redact: Iterable[Rule] = (),
        spool: str | None = None,
        durability: str | None = None,
    ) -> None:
        config = configuration(
            url,
            project,
            api_key=api_key,
            secret=secret,
            redact=redact,
            spool=spool,
            durability=durability,
        )
        self.project = config.project
        self.url = config.url
        self.faults = Faults()
        self.redactor = Redactor(config.redact, on_fault=self.faults.note)
        self.store = open_store(config.url, api_key=config.api_key)
        #: Whether a call returns only when its record is durable.
        self.is_strict = config.durability == "strict"
        self.recorder = open_recorder(
            self.store, self.faults, project=config.project, spool=config.spool
        )
        self.desk = Desk(self.store, self.recorder, self.redactor, self.project)
        self._keyring = Keyring(config.keyring, self.store, self.faults)

    def __repr__(self) -> str:
        return f"<afterword.Client {self.store.url} project={self.project!r}>"

    @overload
    def feedback(
        self,
        data_id: str | None = None,
        type: str | None = None,
        value: Any = None,
        *,
        user: str | None = None,
        source: str | None = None,
        comment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime | str | float | None = None,
        unset: bool = False,
    ) -> Feedback: ...

    @overload
    def feedback(self, data_id: Iterable[Mapping[str, Any]]) -> list[Feedback]: ...

    def feedback(self, data_id: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Record feedback and return it once it is durable.

        Call it with the fields of one statement, or with a list of mappings of the same fields,
        of which all or none are kept. `data_id` defaults to `last_data_id()`; it may be an alias.
        `value` None or `unset` retracts. `created_at` (UTC when naive) defaults to now. `source`
        is end_user when a user is named, else code.

        Raises:
            FeedbackRejected: unknown type or label, or a value of the wrong class; the message
                names the known ones and nothing is kept.
            NoGenerationInContext: no data ID was given and the trail has none.
            DeliveryError: neither the store nor the spool took it.
        """
        entries, listed = feedback_entries(data_id, args, kwargs)
        if not entries:
            return []
        groups = self._feedback_rows(entries, listed)
        kept = wait(groups, self.desk.submit(groups))
        return kept if listed else kept[0]

    @overload
    async def afeedback(
        self,
        data_id: str | None = None,
        type: str | None = None,
        value: Any = None,
        *,
        user: str | None = None,
        source: str | None = None,
        comment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime | str | float | None = None,
        unset: bool = False,
    ) -> Feedback: ...

    @overload
    async def afeedback(self, data_id: Iterable[Mapping[str, Any]]) -> list[Feedback]: ...

    async def afeedback(self, data_id: Any = None, *args: Any, **kwargs: Any) -> Any:
        """The awaitable twin of `feedback`; the event loop is not blocked."""
        entries, listed = feedback_entries(data_id, args, kwargs)
        if not entries:
            return []
        if self.store.is_local:
            groups = self._feedback_rows(entries, listed)
        else:
            groups = await asyncio.to_thread(self._feedback_rows, entries, listed)
        kept = await await_(groups, self.desk.submit(groups))
        return kept if listed else kept[0]

    async def rate(
        self,
        entries: list[dict[str, Any]],
        *,
        listed: bool,
        project: str,
        subject: str,
        bound: bool,
        user: str | None,
        issued_s: int,
    ) -> list[Feedback]:
        """Record what the holder of a feedback token said: `afeedback` for the helper routes.

        `bound` says that `subject` stands for a user, whether named in `user` or not.
        `created_at` of an entry is held between a day before the token, since clocks of browsers go
        wrong and their order must stay, and now.
        """

        def rows() -> list[list[FeedbackRow]]:
            return self.desk.rated_rows(
                entries,
                default_data_id=_last_data_id,
                listed=listed,
                project=project,
                subject=subject,
                bound=bound,
                user=user,
                earliest=(issued_s - _CLOCK_SLACK_S) * 1_000_000,
            )

        groups = rows() if self.store.is_local else await asyncio.to_thread(rows)
        return await await_(groups, self.desk.submit(groups))

    def _feedback_rows(self, entries: list[Any], listed: bool) -> list[list[FeedbackRow]]:
        return self.desk.rows(entries, default_data_id=_last_data_id, listed=listed)

    def log(
        self,
        project: str | None = None,
        inputs: Any = None,
        output: Any = None,
        *,
        messages: Any = None,
        name: str | None = None,
        version: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        usage: Mapping[str, Any] | None = None,
        cost_usd: float | None = None,
        error: BaseException | str | Mapping[str, str] | None = None,
        duration_s: float | None = None,
        created_at: datetime | str | float | None = None,
        data_id: str | None = None,
        parent_id: str | None = None,
        user: str | None = None,
        session: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        feedback: Any = None,
    ) -> str:
        """Log a generation by hand and return its data ID. Returns at once; `flush` waits.

        `feedback` is one mapping of feedback fields or a list of them, for this generation; with
        it, the call returns once both are durable. A trail that is open gives user and session.

        Raises:
            InvalidInput: a field is not usable; the message names it and nothing is logged.
            FeedbackRejected: the feedback does not fit; nothing is logged.
            DeliveryError: the client is strict, and neither the store nor the spool took it.
        """
        project = home_of(project, self.project)
        fields = dict(locals())
        fields.pop("self")
        fields.pop("feedback")
        record, data_id = draft(fields, self.redactor)
        groups = None
        if feedback is not None:
            entries = entries_about(data_id, feedback)
            self.desk.note_place(data_id, project)
            groups = self.desk.rows(entries, default_data_id=new_id, listed=True)
        if project != self.project or not looks_minted(data_id):
            # An ID from outside may be another project's, too; feedback from here means this one.
            self.desk.note_place(data_id, project)
        if self.is_strict:
            self.recorder.put_safely(record)
        else:
            self.recorder.put(record)
        if groups:
            self.recorder.flush(_READ_FLUSH_S)
            wait(groups, self.desk.submit(groups))
        return data_id

    def get(self, data_id: str) -> Generation | None:
        """The generation with this data ID or alias, with its feedback; None when unknown.

        What this process captured before the call is seen.

        Raises:
            StoreError: the store cannot be read.
        """
        self.recorder.flush(_READ_FLUSH_S)
        try:
            known = self.desk.data_id(str(data_id))
        except InvalidInput:
            return None
        found = one(self.store, known, rather=self.project)
        if found is None:
            alias = self.desk.alias_of(known)
            found = None if alias is None else one(self.store, alias, rather=self.project)
        return found

    async def aget(self, data_id: str) -> Generation | None:
        """The awaitable twin of `get`."""
        return await asyncio.to_thread(self.get, data_id)

    def generations(
        self,
        project: str | None = None,
        *,
        name: str | None = None,
        version: str | None = None,
        model: str | None = None,
        status: str | None = None,
        user: str | None = None,
        session: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        feedback: Mapping[str, Any] | None = None,
        sentiment: str | None = None,
        text: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page[Generation]:
        """A page of generations, newest first; each filter left out means any.

        `feedback` maps feedback types to the current value wanted, None for any value. `text`
        is looked for in inputs, messages, output and error. `limit` is 1 to 500; `after` takes the
        `next` of the page before.

        Raises:
            InvalidInput: a filter is not usable; the message names it.
            StoreError: the store cannot be read.
        """
        fields = dict(locals())
        fields.pop("self")
        wanted = query(fields, self.desk.types(project or self.project))
        self.recorder.flush(_READ_FLUSH_S)
        return page(self.store, wanted)

    async def agenerations(self, project: str | None = None, **filters: Any) -> Page[Generation]:
        """The awaitable twin of `generations`."""
        return await asyncio.to_thread(self.generations, project, **filters)

    def alias(self, external_id: str, data_id: str) -> None:
        """Let `external_id` (1 to 512 characters) stand for `data_id` in `feedback` and `get`.

        Raises:
            InvalidInput: one of them is not usable.
            StoreError: the store does not take it.
        """
        known = self.desk.data_id(data_id)
        project = self.desk.place_of(known, self.project) or self.project
        self.store.put_alias(project, clean(check_external_id(external_id)), known)

    def feedback_type(
        self,
        name: str,
        cls: str,
        labels: Any = None,
        minimum: float | None = None,
        maximum: float | None = None,
        step: float | None = None,
        signal: str | None = None,
        *,
        project: str | None = None,
    ) -> FeedbackType:
        """Declare what feedback of type `name` may hold; a later declaration replaces it.

        `labels` is a list of names, of (name, sentiment) pairs, or a mapping from name to
        sentiment: positive (+), negative (-) or neutral. `signal` is explicit, implicit or
        free-form.

        Raises:
            InvalidInput: a field does not fit; the message names it and what is allowed.
            StoreError: the store does not take it.
        """
        definition = declare(name, cls, labels, minimum, maximum, step, signal)
        home = home_of(project, self.project)
        self.store.put_feedback_type(home, definition)
        self.desk.types(home, fresh=True)
        return definition

    def feedback_types(self, project: str | None = None) -> list[FeedbackType]:
        """The feedback types of a project, the defaults first."""
        return list(self.desk.types(project or self.project, fresh=True).values())

    def projects(self) -> list[str]:
        """The names of the projects that have records, this client's own included."""
        return sorted({self.project, *self.store.projects()})

    def erase(self, user: str, project: str | None = None) -> int:
        """Remove a user's generations and feedback: from the store, the spool and its dead letters.

        Of all projects, or of one. Gives how many records went. A tombstone keeps out what was made
        before and is sent later. Damaged pieces of the spool go too, since nobody can tell whose they are.

        Raises:
            StoreError: the store does not do it; nothing was removed.
            DeliveryError: the store did; what may be theirs still waits in the spool. Erase again later.
        """
        return erase(self.recorder, clean(user), project)

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until everything captured so far is durable; whether it is within the time."""
        return self.recorder.flush(timeout_s)

    async def aflush(self, timeout_s: float | None = None) -> bool:
        """The awaitable twin of `flush`."""
        return await asyncio.to_thread(self.flush, timeout_s)

    def status(self) -> Status:
        """Where every captured record is now. Never blocks on the store."""
        return self.recorder.status()

    @property
    def has_keyring(self) -> bool:
        """Whether `keyring` will answer at once."""
        return self._keyring.is_ready

    def keyring(self) -> Keys:
        """The secrets that sign feedback tokens, newest first; empty when there are none.

        Blocks on the store the first time when none was configured.
        """
        return self._keyring.keys()

    def close(self) -> None:
        """Flush within 2 s and let go of the store."""
        self.recorder.close()
        self.store.close()


def _last_data_id() -> str:
    data_id = last_data_id()
    if data_id is None:
        raise NoGenerationInContext
    return data_id
