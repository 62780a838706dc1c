"""Accounts and strategies are made and confirmed; what cannot start waits, and its reason is kept.

Nothing is placed here.
"""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal

from bybit_adapter import BybitError, Instrument
from bybit_adapter import Environment as Place
from gridbot.accounts.served_account import ServedAccount
from gridbot.actor.executor import IntentExecutor
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import Alerts
from gridbot.ports import ExchangeClock, MachineTime, Rest
from gridbot.records.recorder import Recorder
from gridbot.records.state_store import StateFiles
from gridbot.session.account_session import AccountSession
from gridbot.session.connections import Connector
from gridbot.session.preflight import look_at_account, look_at_strategy
from gridbot.session.reconciler import NotConfirmedError
from gridbot.settings.account_config import AccountConfig
from gridbot.settings.config import GridbotConfig, StrategySettings
from gridbot.settings.session_settings import SessionSettings
from gridbot.shadow import ShadowExecutor, shadow_terms
from gridbot.views.life import Life
from gridbot.views.metrics import BotMetrics
from gridbot.views.observer import BotObserver
from gridbot.views.snapshots import run_type_of
from gridbot.views.timed_rest import TimedRest
from gridcore import GridStrategy
from gridcore.errors import GridcoreError

log = logging.getLogger(__name__)


class AccountStarter:
    """Starts accounts and strategies; `sizes` says what each asked for and what is placed."""

    def __init__(
        self,
        config: GridbotConfig,
        recorder: Recorder,
        alerts: Alerts,
        metrics: BotMetrics,
        life: Life,
        embedded_port: int | None,
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._alerts = alerts
        self._metrics = metrics
        self._life = life
        self._embedded_port = embedded_port
        self.sizes: dict[str, str] = {}  # by strategy

    async def start_all(self, started: list[ServedAccount]) -> list[tuple[str, str]]:
        """Append the accounts that could be made; return whom that was not possible for, and why.

        An account may have been made while some of its strategies, or all, could not be.
        """
        failures: list[tuple[str, str]] = []
        for account in self._config.accounts:
            if not self._config.strategies_of(account.name):
                continue
            place = account.place(self._embedded_port)
            rest = TimedRest(Connector(account, place).rest(), self._metrics)
            try:
                found = await self._make_account(account, place, rest)
            except NotConfirmedError as error:
                failures.append((account.name, str(error)))
            except (BybitError, GridcoreError) as error:
                failures.append((account.name, f"account {account.name}: {error}"))
            else:
                started.append(found)
                failures += found.waiting.items()
                continue
            self._life.not_started(*failures[-1])
            self._recorder.fail_runs(*failures[-1])
            rest.close()
        return failures

    async def _make_account(
        self, account: AccountConfig, place: Place, rest: Rest
    ) -> ServedAccount:
        clock = ExchangeClock(MachineTime())
        run_ids = await self._begin_runs(account)
        report = await look_at_account(account.name, rest, clock)
        if report.problems:
            raise NotConfirmedError("\n".join(report.problems))
        session = AccountSession(
            account.name,
            rest,
            self._recorder.listen(
                account.name,
                place,
                rest,
                Connector(account, place).open_private(arm_dcp=bool(self._config.dcp_window)),
            ),
            (),
            clock,
            self._alerts,
            SessionSettings.of(self._config),
            lambda update: self._recorder.private_update(account.name, update),
            report,
        )
        found = ServedAccount(account, place, session, run_ids)
        for one in self._config.strategies_of(account.name):
            await self.try_strategy(found, one)
        return found

    async def _begin_runs(self, account: AccountConfig) -> dict[str, str]:
        run_ids = {}
        for one in self._config.strategies_of(account.name):
            run = await asyncio.to_thread(
                self._recorder.begin_run,
                account.name,
                account.environment,
                one.strat_id,
                one.symbol,
                run_type_of(account.environment, is_shadow=one.shadow_mode),
                one.model_dump(mode="json"),
            )
            run_ids[one.strat_id] = run.run_id
        return run_ids

    async def try_strategy(
        self, account: ServedAccount, one: StrategySettings
    ) -> StrategyRunner | None:
        """Make and confirm one strategy; what keeps it from starting keeps no other one."""
        try:
            runner = await self._make_runner(account, one)
        except NotConfirmedError as error:
            reason = str(error)
        except (BybitError, GridcoreError) as error:
            reason = f"{one.strat_id}: {error}"
        else:
            account.waiting.pop(one.strat_id, None)
            self._life.strategy_started(one.strat_id)
            return runner
        account.waiting[one.strat_id] = reason
        self._life.strategy_not_started(one.strat_id, reason)
        return None

    async def _make_runner(self, account: ServedAccount, one: StrategySettings) -> StrategyRunner:
        session = account.session
        wallet = session.wallet.newest or await session.rest.get_wallet_balance()
        snapshot = wallet.snapshot
        balance = None if snapshot is None else snapshot.wallet_balance
        instrument = await self._look_at(one, session.rest, balance)
        runner = StrategyRunner(
            GridStrategy(self._config.strategy_config(one, instrument.rules)),
            account.config.name,
            session.clock,
            self._alerts,
            BotObserver(self._metrics, session.clock),
            StateFiles(self._config.state_path),
            is_shadow=one.shadow_mode,
        )
        restored = runner.restore()
        log.info("%s: %s", one.strat_id, "grid restored" if restored else "begins afresh")
        if one.shadow_mode:
            terms = await shadow_terms(session.rest, instrument)
            shadow = ShadowExecutor(runner, terms.wallet, terms.tiers, terms.fees, terms.limits)
            runner.use(shadow, shadow)
            session.follow(runner)
            account.shadows.append(runner)
            return runner
        runner.use(
            IntentExecutor(
                session.rest,
                session.clock,
                runner.tell,
                runner.still_wants,
                session.outcome_handler(runner),
            )
        )
        await session.add(runner)
        account.live.append(runner)
        return runner

    async def _look_at(
        self, one: StrategySettings, rest: Rest, wallet: Decimal | None
    ) -> Instrument:
        """Refuse what `--check` refuses; return the contract. Raises NotConfirmedError."""
        found = await look_at_strategy(self._config, one, rest, wallet)
        if found.problems or found.instrument is None or found.plan is None:
            raise NotConfirmedError("\n".join(found.problems))
        self.sizes[one.strat_id] = found.plan.sizes_text()
        log.info("%s: %s", one.strat_id, self.sizes[one.strat_id])
        return found.instrument
