"""Reading of whole configurations: files, overriding, warnings and problems."""

from __future__ import annotations

import os

import attrs
import yaml

from synapse_lite.config import ConfigError, config_from_dict, read_config
from synapse_lite.config._options import options_of, section_info
from synapse_lite.config._reading import top_level_names
from synapse_lite.config.root import sections
from tests.config.helpers import ConfigTestCase, config

OPERATORS_FILE = """
server_name: "example.com"
public_baseurl: "https://matrix.example.com/"
pid_file: homeserver.pid
listeners:
  - port: 8008
    tls: false
    type: http
    x_forwarded: true
    bind_addresses: ['::1', '127.0.0.1']
    resources:
      - names: [client, federation]
        compress: false
  - port: 9092
    type: replication
    bind_address: 127.0.0.1
  - port: 9093
    type: http
    bind_address: 127.0.0.1
    resources: [{names: [replication]}]
database:
  name: sqlite3
  args:
    database: data/homeserver.db
log_config: "example.com.log.config"
media_store_path: media_store
signing_key_path: "example.com.signing.key"
trusted_key_servers:
  - server_name: "matrix.org"
    verify_keys: {"ed25519:auto": "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw"}
suppress_key_server_warning: true
registration_shared_secret: "one"
enable_registration: true
enable_registration_without_verification: true
macaroon_secret_key: "two"
form_secret: "three"
report_stats: false
tls_certificate_path: fullchain.pem
tls_private_key_path: privkey.pem
federation_custom_ca_list: [ca.pem]
federation_verify_certificates: true
ip_range_blacklist: ['127.0.0.0/8', '::1/128']
federation_ip_range_blacklist: []
presence:
  enabled: true
url_preview_enabled: false
allow_public_rooms_over_federation: true
default_room_version: "10"
bcrypt_rounds: 4
app_service_config_files: [bridge.yaml]
enable_media_repo: true
send_federation: true
start_pushers: true
notify_appservices: true
update_user_directory: true
rc_message: {per_second: 1000, burst_count: 1000}
rc_registration: {per_second: 1000, burst_count: 1000}
rc_registration_token_validity: {per_second: 1000, burst_count: 1000}
rc_login:
  address: {per_second: 1000, burst_count: 1000}
  account: {per_second: 1000, burst_count: 1000}
  failed_attempts: {per_second: 1000, burst_count: 1000}
rc_admin_redaction: {per_second: 1000, burst_count: 1000}
rc_joins:
  local: {per_second: 1000, burst_count: 1000}
  remote: {per_second: 1000, burst_count: 1000}
rc_joins_per_room: {per_second: 1000, burst_count: 1000}
rc_3pid_validation: {per_second: 1000, burst_count: 1000}
rc_invites:
  per_room: {per_second: 1000, burst_count: 1000}
  per_user: {per_second: 1000, burst_count: 1000}
  per_issuer: {per_second: 1000, burst_count: 1000}
rc_third_party_invite: {per_second: 1000, burst_count: 1000}
rc_media_create: {per_second: 1000, burst_count: 1000}
rc_presence: {per_user: {per_second: 1000, burst_count: 1000}}
rc_delayed_event_mgmt: {per_second: 1000, burst_count: 1000}
rc_reports: {per_second: 1000, burst_count: 1000}
rc_room_creation: {per_second: 1000, burst_count: 1000}
rc_user_directory: {per_second: 1000, burst_count: 1000}
rc_federation:
  window_size: 1000
  sleep_limit: 10
  sleep_delay: 500
  reject_limit: 99999
  concurrent: 3
"""


class OperatorsFileTestCase(ConfigTestCase):
    """A file as operators bring it along."""

    def test_nothing_in_it_is_unknown(self) -> None:
        read = read_config([self.write("homeserver.yaml", OPERATORS_FILE)])
        self.assertEqual(read.warnings, ())

    def test_its_values_arrive(self) -> None:
        read = read_config([self.write("homeserver.yaml", OPERATORS_FILE)])
        self.assertEqual(read.server.public_baseurl, "https://matrix.example.com")
        self.assertEqual(read.database.args["database"], self.folder + "/data/homeserver.db")
        self.assertEqual(read.logging.log_config, self.folder + "/example.com.log.config")
        self.assertEqual(read.registration.registration_shared_secret, "one")
        self.assertEqual(read.tls.federation_custom_ca_list, (self.folder + "/ca.pem",))
        self.assertEqual(read.ratelimiting.rc_joins.remote.per_second, 1000)
        self.assertEqual(read.keys.trusted_key_servers[0].server_name, "matrix.org")
        self.assertEqual(read.outbound.federation_ip_range_blacklist, ())
        first, second, third = read.server.listeners
        self.assertEqual(first.resource_names, {"client", "federation"})
        self.assertEqual((second.type, second.bind_addresses), ("replication", ("127.0.0.1",)))
        self.assertTrue(third.carries_replication)


class FilesTestCase(ConfigTestCase):
    """Several files and directories."""

    def test_later_files_override_whole_keys(self) -> None:
        first = self.write(
            "a.yaml", "server_name: a.example\nrc_joins: {local: {per_second: 7}}\npid_file: x\n"
        )
        second = self.write("b.yaml", "rc_joins: {remote: {per_second: 8}}\n")
        read = read_config([first, second])
        self.assertEqual(read.server.server_name, "a.example")
        self.assertEqual(read.ratelimiting.rc_joins.remote.per_second, 8)
        self.assertEqual(read.ratelimiting.rc_joins.local.per_second, 0.1)
        self.assertEqual(read.files, (first, second))

    def test_a_directory_is_its_yaml_files_sorted(self) -> None:
        self.write("conf/20.yaml", "bcrypt_rounds: 5\n")
        self.write("conf/10.yaml", "bcrypt_rounds: 4\nserver_name: example.com\n")
        self.write("conf/30.yaml.orig", "bcrypt_rounds: 6\n")
        read = read_config([self.folder + "/conf"])
        self.assertEqual(read.registration.bcrypt_rounds, 5)

    def test_paths_start_at_the_folder_of_their_file(self) -> None:
        first = self.write("homeserver.yaml", "server_name: example.com\npid_file: run/hs.pid\n")
        second = self.write("workers/w.yaml", "worker_pid_file: ../w.pid\n")
        read = read_config([first, second])
        self.assertEqual(read.daemon.pid_file, self.folder + "/run/hs.pid")
        self.assertEqual(read.worker.pid_file, self.folder + "/w.pid")

    def test_default_paths_start_at_the_first_file(self) -> None:
        read = self.read("")
        self.assertEqual(read.keys.signing_key_path, self.folder + "/signing.key")
        self.assertEqual(read.database.args, {"database": self.folder + "/homeserver.db"})

    def test_unreadable_files_are_all_named(self) -> None:
        listing = self.write("list.yaml", "- a\n")
        broken = self.write("broken.yaml", "registration_shared_secret: [hunter2\n")
        missing = self.folder + "/missing.yaml"
        os.mkdir(self.folder + "/empty")
        with self.assertRaises(ConfigError) as caught:
            read_config([listing, broken, missing, self.folder + "/empty"])
        files = {problem.file for problem in caught.exception.problems}
        self.assertEqual(files, {listing, broken, missing, self.folder + "/empty"})
        self.assertNotIn("hunter2", str(caught.exception))
        self.assertIn("line 2", str(caught.exception))

    def test_yaml_cannot_make_objects(self) -> None:
        path = self.write("a.yaml", "server_name: !!python/object/apply:os.getcwd []\n")
        with self.assertRaises(ConfigError):
            read_config([path])

    def test_no_file(self) -> None:
        with self.assertRaises(ConfigError):
            read_config([])

    def test_an_empty_file_lacks_a_server_name(self) -> None:
        path = self.write("a.yaml", "")
        with self.assertRaises(ConfigError) as caught:
            read_config([path])
        (problem,) = caught.exception.problems
        self.assertEqual((problem.file, problem.key), (path, "server_name"))
        self.assertIn("is required", problem.message)


class WarningsTestCase(ConfigTestCase):
    """Unknown keys."""

    def test_one_warning_each_with_the_nearest_name(self) -> None:
        read = self.read("registration_shared_secert: x\nsaml2_config: {}\n")
        path = self.folder + "/homeserver.yaml"
        self.assertEqual(
            read.warnings,
            (
                f"{path}: registration_shared_secert: unknown option, ignored "
                "(did you mean registration_shared_secret?)",
                f"{path}: saml2_config: unknown option, ignored",
            ),
        )

    def test_inside_mappings_and_lists(self) -> None:
        read = self.read(
            "caches: {globl_factor: 2}\n"
            "listeners: [{port: 1, type: replication, bind_adresses: ['::1']}]\n"
        )
        self.assertEqual(len(read.warnings), 2)
        self.assertIn("did you mean caches.global_factor?", str(read.warnings))
        self.assertIn("did you mean listeners[0].bind_addresses?", str(read.warnings))
        self.assertEqual(read.caches.global_factor, 1.0)

    def test_a_key_without_value_is_not_given(self) -> None:
        read = self.read("bcrypt_rounds:\nlisteners:\ncaches:\nrc_message:\n")
        self.assertEqual(read.registration.bcrypt_rounds, 12)
        self.assertEqual(read.server.listeners[0].port, 8008)
        self.assertEqual(read.warnings, ())


class ProblemsTestCase(ConfigTestCase):
    """All problems at once, each with file and key."""

    def test_all_at_once(self) -> None:
        found = self.problems(
            "bcrypt_rounds: 99\n"
            "max_upload_size: 10X\n"
            "rc_login: {address: {per_second: often}, account: 3}\n"
            "listeners: [{port: 70000}, {type: telnet, port: 1}]\n"
            "worker_replication_port: yes\n"
        )
        self.assertEqual(
            sorted(key for key, _ in found),
            [
                "bcrypt_rounds",
                "listeners[0].port",
                "listeners[1].type",
                "max_upload_size",
                "rc_login.account",
                "rc_login.address.per_second",
                "worker_replication_port",
            ],
        )

    def test_the_file_is_the_one_that_won(self) -> None:
        first = self.write("a.yaml", "server_name: example.com\nbcrypt_rounds: 4\n")
        second = self.write("b.yaml", "bcrypt_rounds: 99\nenable_registration: true\n")
        with self.assertRaises(ConfigError) as caught:
            read_config([first, second])
        (problem,) = caught.exception.problems
        self.assertEqual((problem.file, problem.key), (second, "bcrypt_rounds"))
        read_config([second, first, self.write("c.yaml", "enable_registration: false\n")])

    def test_what_lacks_inside_a_mapping_is_missed_in_its_file(self) -> None:
        first = self.write("a.yaml", "server_name: example.com\n")
        second = self.write("b.yaml", "worker_listeners: [{type: metrics}]\n")
        with self.assertRaises(ConfigError) as caught:
            read_config([first, second])
        (problem,) = caught.exception.problems
        self.assertEqual((problem.file, problem.key), (second, "worker_listeners[0].port"))

    def test_values_never_stand_in_messages(self) -> None:
        found = self.problems(
            "registration_shared_secret: [hunter2]\nsigning_key: hunter2\n"
            "macaroon_secret_key: 22221111\n"
        )
        self.assertNotIn("hunter2", str(found))
        self.assertNotIn("22221111", str(found))


class DeclarationsTestCase(ConfigTestCase):
    """Rules over all sections."""

    def test_keys_are_unique_over_all_sections(self) -> None:
        owners: dict[str, str] = {}
        for name, cls in sections().items():
            for key in top_level_names(cls):
                self.assertNotIn(key, owners, f"also in {owners.get(key)} and {name}")
                owners[key] = name

    def test_every_section_is_documented(self) -> None:
        for cls in sections().values():
            self.assertTrue(section_info(cls).doc.strip(), cls)

    def test_reading_nothing_gives_each_option_its_default(self) -> None:
        read = config()
        for section_name, cls in sections().items():
            for name, _, declared in options_of(cls):
                if isinstance(declared.default, (bool, int, float)):
                    self.assertEqual(getattr(getattr(read, section_name), name), declared.default)

    def test_nothing_can_be_assigned(self) -> None:
        read = config()
        with self.assertRaises(attrs.exceptions.FrozenInstanceError):
            read.server.server_name = "other"  # type: ignore[misc]  # what the test is about
        with self.assertRaises(attrs.exceptions.FrozenInstanceError):
            read.ratelimiting.rc_message.per_second = 1  # type: ignore[misc]  # the same

    def test_secrets_stay_out_of_repr(self) -> None:
        read = config(
            registration_shared_secret="hunter2",
            macaroon_secret_key="hunter2",
            form_secret="hunter2",
            worker_replication_secret="hunter2",
            signing_key="ed25519 a hunter2",
            password_config={"pepper": "hunter2"},
            database={"name": "psycopg2", "args": {"password": "hunter2"}},
        )
        self.assertNotIn("hunter2", repr(read))
        self.assertEqual(read.worker.replication_secret, "hunter2")

    def test_a_mapping_reads_as_its_file_would(self) -> None:
        text = "server_name: example.com\nuse_presence: false\n"
        from_file = read_config([self.write("homeserver.yaml", text)])
        from_dict = config_from_dict(yaml.safe_load(text), self.folder)
        self.assertEqual(attrs.evolve(from_file, files=()), from_dict)
        self.assertFalse(from_dict.presence.enabled)
