"""Broken twins: the mistakes that a change could make, each as a small patch of the source, and the tests that must turn red for it.

A patch is (old, new); the old text stands exactly once in its file, or the twin has rotted (`tests/test_twins.py` looks).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Twin:
    """One deliberate defect."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    """FILE::TEST under tests/; each of them turns red, for its own reason."""


TWINS = (
    Twin("writes 0 where nothing was answered", "drivers/protocols/_modbus_registers.py",
         "raw = [done.values.get(place, math.nan) for",
         "raw = [done.values.get(place, 0.0) for",
         ("test_modbus_driver.py::test_what_came_is_kept_when_another_block_fails",)),
    Twin("acknowledges before the commit", "gateway/core.py",
         """        self._patiently(lambda: self._commit_event(kind, taken, stamp))
        self._under_way = []
        for delivery in taken.deliveries:
            if delivery.receipt:
                delivery.receipt.release()
""",
         """        for delivery in taken.deliveries:
            if delivery.receipt:
                delivery.receipt.release()
        self._patiently(lambda: self._commit_event(kind, taken, stamp))
        self._under_way = []
""",
         ("test_core.py::test_a_commit_that_fails_releases_nothing_and_is_tried_until_it_holds",
          "test_core.py::test_a_reading_that_kills_the_process_is_kept_and_after_three_deaths_never_stepped_again")),
    Twin("keeps the stepped state of a commit that failed", "gateway/core.py",
         """        n_from = self._writer.next_n
        with self._writer.transaction():
            lines = self._write(event, effects, taken, state)
        self._state = state
""",
         """        n_from = self._writer.next_n
        self._state = state
        with self._writer.transaction():
            lines = self._write(event, effects, taken, state)
""",
         ("test_core_again.py::test_a_commit_that_fails_at_first_leaves_the_same_rows_alerts_counters_and_state",)),
    Twin("counts in a transaction of its own", "gateway/core.py",
         """        with self._writer.transaction():
            lines = self._write(event, effects, taken, state)
""",
         """        counts, taken.counts = taken.counts, {}
        with self._writer.transaction():
            lines = self._write(event, effects, taken, state)
        with self._writer.transaction():
            self._writer.count(counts)
""",
         ("crash/test_torn.py::test_what_a_wal_that_is_torn_takes_with_it_is_whole_commits",)),
    Twin("keeps alert timers in memory only", "gateway/core.py",
         "self._state = carry(self._redo(reader), self._plan.layout)\n        self._sorter",
         "self._redo(reader)\n            self._state = State(self._plan.layout)\n        self._sorter",
         ("test_core.py::test_an_alert_keeps_its_timers_over_a_kill_at_any_place",
          "test_core.py::test_cut_anywhere_killed_anywhere_gives_the_same_bits")),
    Twin("starts from the checkpoint without redo", "gateway/restoring.py",
         "waiting = reader.events_after(done)",
         "waiting = reader.events_after(2**62)",
         ("test_core.py::test_an_alert_keeps_its_timers_over_a_kill_at_any_place",)),
    Twin("closes hours at the end of the run of events", "gateway/step.py",
         "return state, [_one(plan, state, event) for event in events]",
         "return state, [_one(plan, state, replace(event, now=max(event.now, events[-1].now))) for event in events]",
         ("test_core_again.py::test_an_hour_that_ends_among_events_to_be_redone_ends_where_it_did",)),
    Twin("stamps readings with a clock that is not true", "gateway/sorting.py",
         "elif not batch.stamp.sure:",
         "elif False:",
         ("test_core.py::test_readings_under_an_unsure_clock_are_held_and_stamped_when_it_is_true",)),
    Twin("shows rows before they have their flags", "gateway/journal/reader.py",
         "if last and last[1] == UNDONE else 2**62",
         "if False else 2**62",
         ("test_core.py::test_nobody_downstream_sees_a_row_before_it_has_its_flag",)),
    Twin("commits with synchronous OFF", "gateway/journal/writer.py",
         'synchronous: str = "FULL"',
         'synchronous: str = "OFF"',
         ("crash/test_power_cut.py::test_a_power_cut_loses_nothing_that_was_acknowledged_and_this_harness_would_see_it",)),
    Twin("takes a redelivered message for a new one", "gateway/duplicates.py",
         "return receipt.again and self._committed.get((receipt.line, receipt.packet)) == receipt.digest",
         "return False",
         ("test_core.py::test_the_same_message_again_after_a_kill_is_recognised_and_acknowledged",)),
    Twin("learns own times before the event under way is done", "gateway/core.py",
         "carry(self._redo(reader), self._plan.layout)\n        self._sorter = Sorter(self._writer, self._register)",
         "carry((setattr(self, '_sorter', Sorter(self._writer, self._register)), self._redo(reader))[1], self._plan.layout)\n        self._sorter",
         ("test_core.py::test_a_reading_whose_event_was_under_way_at_the_kill_enters_once_too",)),
    Twin("answers 200 before the journal has it", "drivers/lines/_push_server.py",
         "self._owed[id(taken)] = (taken, visit, self.verdicts.pop(id(taken), None))\n                return",
         "visit.answer(self.verdicts.pop(id(taken), None))\n                return",
         ("test_push.py::test_200_is_said_after_the_commit_and_not_before",)),
    Twin("takes a heartbeat for an answer", "drivers/codecs/calling.py",
         'return came if self._pattern is None else self._pattern.sub(b"", came)',
         "return came",
         ("test_modems.py::test_heartbeats_in_the_middle_of_an_answer_are_no_part_of_it_however_they_are_cut",)),
    Twin("lets the places of strangers be held by a crowd", "drivers/lines/_switchboard.py",
         "fullest = crowd if is_crowded else max(waiting, key=waiting.__getitem__)",
         "fullest = crowd if is_crowded else next(iter(waiting))",
         ("test_modems.py::test_no_flood_from_other_addresses_keeps_out_a_modem_that_takes_its_time_to_register",)),
    Twin("lets the older connection of a modem stand", "drivers/lines/_door.py",
         "            self._waiting = call\n            self._end_inside()",
         "            self._waiting = call",
         ("test_modems.py::test_the_newest_connection_counts_and_the_older_is_ended",)),
    Twin("forgets at a start which own times it has", "gateway/duplicates.py",
         "                self.remember(series, at, raw)\n\n    def remember",
         "                pass\n\n    def remember",
         ("test_core.py::test_a_reading_with_its_own_time_enters_once_even_from_another_packet_and_another_life",)),
    Twin("moves the cursor before the store has accepted", "gateway/courier.py",
         "owed, rows = _runs(rows.n[late]), rows.pick(~late)\n        chosen = rows.pick(self._chosen(rows))\n",
         """owed, rows = _runs(rows.n[late]), rows.pick(~late)
        chosen = rows.pick(self._chosen(rows))
        self._sending._tell(SinkMoved(self._name, position, int(rows.n[-1]), len(chosen), len(rows) - len(chosen)))
""",
         ("test_onward.py::test_a_store_that_cannot_take_it_keeps_its_place_and_is_tried_later",
          "test_onward.py::test_a_store_that_dies_while_halving_gets_everything_again")),
    Twin("lets a revision overtake what it replaces", "gateway/courier.py",
         "late := (rows.revision > 0) | (rows.origin != 0)",
         "late := rows.revision > 99",
         ("test_live_first.py::test_a_revision_never_overtakes_the_row_that_it_replaces",)),
    Twin("believes a store that may have been killed", "gateway/sending.py",
         "            if self._unsure:\n                self.take_back()\n                return\n",
         "",
         ("test_confirmed.py::test_a_store_that_loses_its_last_seconds_gets_them_again",)),
    Twin("gives the backlog all of the line", "gateway/pace.py",
         "self._free_at = max(ended_s + took_s,",
         "self._piece = float(self._most)\n        self._free_at = max(ended_s,",
         ("test_live_first.py::test_live_rows_need_at_most_twice_their_usual_time_while_a_backlog_is_drained",)),
    Twin("drops the batch that a store refuses", "gateway/sending.py",
         "            if len(rows) > 1:\n                half",
         "            if len(rows) > 1:\n                return\n                half",
         ("test_onward.py::test_refused_rows_are_found_by_halving_and_set_aside_with_the_store_s_words",)),
    Twin("takes any 400 for the store's own refusal", "gateway/sinks/influxdb.py",
         "if _is_influxdb(answer):\n                raise Refused",
         "if True:\n                raise Refused",
         ("contract/test_sinks.py::test_an_answer_that_is_no_answer_keeps_everything",)),
    Twin("does not escape a backslash", "gateway/spelling.py",
         r"\x7f-\x9f\\\\%\u2028",
         r"\x7f-\x9f%\u2028",
         ("test_line_protocol.py::test_a_line_read_back_is_the_row",
          "test_line_protocol.py::test_influxdb_stores_hostile_points_as_they_are_and_nothing_else")),
    Twin("shows the secret in an error", "gateway/sinks/influxdb.py",
         "named = f'the secret \"{secret.secret}\"' if secret",
         "named = f'the secret \"{secret.secret}\" ({self._secret(secret)})' if secret",
         ("contract/test_sinks.py::test_what_needs_a_human_halts_with_words_and_without_the_secret",)),
    Twin("notes a message as told before it was told", "gateway/outbox.py",
         "        try:\n            self._channel.tell(waiting.notice",
         '        self._end(waiting, "told", tries, "")\n        try:\n            self._channel.tell(waiting.notice',
         ("test_onward.py::test_a_message_is_noted_as_told_only_when_the_other_side_has_it",)),
    Twin("acknowledges on another connection than the one that delivered", "drivers/lines/_receipts.py",
         "if receipt.connection == connection]",
         "if True]",
         ("test_mqtt_line.py::test_a_receipt_of_a_dead_connection_acknowledges_nothing_on_the_next",)),
    Twin("has one breaker for an address, whatever its line", "gateway/poller.py",
         "self._given_up = GivenUp(drivers, chance)",
         """shared = globals().setdefault("_SHARED", {})

        class Shared(GivenUp):
            names = property(lambda self: {name for name, one in self._breakers.items() if one.is_open}, lambda self, names: None)

        self._given_up = Shared(drivers, chance)
        own = self._given_up._breakers
        own.update({device: shared.setdefault(getattr(driver, "_unit", device), own[device]) for device, driver in drivers.items()})""",
         ("test_poller.py::test_a_dead_device_says_nothing_of_its_namesake_on_another_line",)),
    Twin("has one breaker for a whole line", "gateway/given_up.py",
         "self._breakers = {device: Breaker(chance) for device in devices}",
         "self._breakers = dict.fromkeys(devices, Breaker(chance))",
         ("test_poller.py::test_a_dead_device_does_not_delay_the_others",)),
    Twin("piles up the polls that did not fit", "gateway/turns.py",
         "self.due_ns += passed * self.period_ns\n",
         "passed = 0\n",
         ("test_poller.py::test_polls_that_do_not_fit_are_left_out_whole_and_counted_and_the_phase_is_kept",)),
    Twin("sends an order before it is on disk as started", "gateway/orders.py",
         'given.step = "starting"',
         'given.step = "started"',
         ("test_orders.py::test_while_the_journal_is_slow_the_order_waits_and_polling_goes_on",)),
    Twin("takes our own echo for the confirmation of an order", "drivers/codecs/modbus_write.py",
         "if body == echo and (echoes or write.function not in (5, 6)):",
         "if body == echo and write.function not in (5, 6):",
         ("test_modbus_orders.py::test_on_a_line_that_echoes_our_own_request_is_no_confirmation",)),
    Twin("takes the late answer to an earlier question", "drivers/owed.py",
         "late = self._late.pop((unit, function), None) if self._late else None",
         "late = None",
         ("test_modbus_driver.py::test_a_late_answer_is_never_taken_for_the_next_one",
          "test_owed.py::test_what_a_probe_is_owed_is_not_taken_by_a_poll")),
    Twin("asks again before the answer has passed", "drivers/protocols/_modbus_talk.py",
         "max(frames_s + _REST_S, within_s - passed_s)",
         "frames_s + _REST_S",
         ("test_owed.py::test_noise_before_an_answer_gives_no_value_of_other_registers",)),
    Twin("takes a frame whose checksum does not fit", "drivers/codecs/modbus.py",
         "if not is_sealed(mine[:size]):",
         "if not is_sealed(mine[:size]) and len(mine) < 4:",
         ("test_modbus_codec.py::test_a_burst_of_up_to_16_bits_never_gives_a_value",
          "test_modbus_driver.py::test_no_noise_ever_becomes_a_value")),
    Twin("takes a float32 as it is", "drivers/decode.py",
         'value = shortest(raw) if form.type == "f32" and math.isfinite(raw) else raw',
         "value = raw",
         ("test_decode.py::test_a_float32_is_the_shortest_decimal_that_names_it",
          "contract/test_profiles.py::test_a_profile_decodes_its_case")),
    Twin("sends on a line that only listens", "drivers/lines/_wire.py",
         """raise LineError('mode = "listen": nothing is sent on this line')""",
         "super().send(data)",
         ("test_overhearing.py::test_a_mute_line_refuses_to_send_whoever_asks_it_to",)),
    Twin("pairs an answer with a request that a lost one followed", "drivers/codecs/modbus_overheard.py",
         "and self._stray_since <= _STRAY_BYTES",
         "and self._stray_since >= 0",
         ("test_overhearing.py::test_an_answer_whose_request_was_missed_is_counted_and_not_guessed",)),
    Twin("asks into the talk of another master", "gateway/listening_first.py",
         "        if heard.requests:",
         "        if heard.requests > 1000:",
         ("test_overhearing.py::test_a_line_where_another_master_speaks_is_lost_with_its_repair_until_it_is_free",)),
    Twin("scans in spite of another master", "gateway/scanning/scan_line.py",
         """return heard.state == "quiet" or""",
         """return heard.state in ("quiet", "master") or""",
         ("test_scan.py::test_nothing_is_sent_while_another_master_speaks",)),
    Twin("asks a line at the usual settings only", "gateway/scanning/rounds.py",
         "if own is not None else []",
         "if own is None else []",
         ("test_scan.py::test_a_line_of_the_site_file_is_asked_at_its_own_setting_first",)),
    Twin("takes a guess for a device", "gateway/scanning/site_text.py",
         """not fits[0].get("sure")""",
         """not fits[0].get("fits")""",
         ("test_scan.py::test_a_guess_is_written_with_its_evidence_and_not_as_a_device",)),
    Twin("takes the end of a range for a value", "gateway/scanning/fitting.py",
         "if name not in empty and is_plausible(name, value))",
         "if is_plausible(name, value))",
         ("test_scan.py::test_a_guess_is_written_with_its_evidence_and_not_as_a_device",)),
    Twin("forgets what it found when it is interrupted", "gateway/scanning/scan_line.py",
         "_add(report, scan.so_far(), scan.setting)",
         "report.settings.append(scan.setting)",
         ("test_scan.py::test_what_was_found_before_ctrl_c_is_told_and_that_it_is_not_whole",)),
    Twin("asks devices of the site file in a scan", "gateway/scanning/scan_job.py",
         "free = [unit for unit in addresses if str(unit) not in known]",
         "free = list(addresses)",
         ("test_scan_daemon.py::test_a_scan_through_the_daemon_finds_what_is_new_and_no_poll_waits_longer_than_one_exchange",)),
    Twin("calls half of a float plausible", "gateway/scanning/meanings.py",
         "else not inside.intersection(_covers(meaning))",
         "else bool(everything)",
         ("test_probe.py::test_plausible_readings_are_marked_and_the_absurd_ones_are_not",)),
    Twin("takes true for 1", "drivers/protocols/_json_shape.py",
         "if isinstance(value, bool) or not isinstance(value, int | float):",
         "if not isinstance(value, int | float):",
         ("test_mqtt_json.py::test_one_bad_value_is_missing_and_the_others_are_kept",)),
    Twin("adds up an hour without compensation", "analytics/kernels/means.py",
         "        lost[k] += (total[k] - t) + x\n",
         "        lost[k] += 0.0\n",
         ("test_kernels.py::test_an_hour_of_equal_readings_has_their_value_to_the_last_bit",)),
    Twin("believes what an instrument gives in maintenance and while it warms up", "analytics/kernels/quality.py",
         "            or word == 77 or word == 67 or word == 119 or word == 121",
         "            or word == 0",
         ("test_warming.py::test_the_first_values_after_power_up_are_kept_and_fail_until_the_instrument_is_ready",)),
    Twin("takes a boot of the box for a restart of the daemon", "gateway/core.py",
         "BOOTED if booted else START",
         "START",
         ("test_warming.py::test_a_restart_of_the_daemon_is_no_power_up_but_one_of_the_box_is",)),
    Twin("asks a device before its supply is on", "drivers/resting.py",
         "if not (awake and self._cycle.is_awake):",
         "if not awake:",
         ("test_supplies.py::test_the_relay_is_told_before_its_instrument_is_asked_and_each_time_by_an_order_of_the_journal",)),
    Twin("puts an instrument to sleep while it wipes", "drivers/duty.py",
         "return self.before_s + self.ready_s + self.on_s",
         "return self.ready_s + self.on_s",
         ("test_water_probes.py::test_the_time_of_a_wipe_is_added_to_the_time_that_it_measures_for",)),
    Twin("reads a probe that was never started", "config/reading_site.py",
         'for key in ("ready", "duty", "before") if getattr(device, key)',
         'for key in ("ready", "duty") if getattr(device, key)',
         ("test_water_probes.py::test_it_is_told_what_its_profile_says_unless_the_site_file_says_otherwise",)),
)
