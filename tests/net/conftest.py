"""Fixtures: one set of lines for the run, one lab for each test."""
import os
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import faultlab  # noqa: E402
import lab as lab_module  # noqa: E402


# What the machine has to have time for: tests/run runs them one after the other.
ALONE = {
    "test_corners", "test_differential", "test_faults_disk", "test_faults_kill",
    "test_faults_link", "test_faults_many", "test_faults_pause", "test_faults_soak",
    "test_fidelity", "test_live_filter", "test_offloads", "test_pauses", "test_rate",
    "test_resume_protocol",
}


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: needs the machine for itself")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.module.__name__ in ALONE:
            item.add_marker("alone")


@pytest.fixture(scope="session")
def needed():
    """A missing tool is a failure where every test must run, else a skip."""
    missing = lab_module.find_missing()
    if os.geteuid() != 0:
        missing.insert(0, "root")
    if missing:
        text = "missing: " + ", ".join(missing)
        if os.environ.get("CAPTEST_MUST_RUN"):
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture(scope="session")
def net(needed):
    net = lab_module.Net()
    yield net
    net.close()


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return lab_module.Pki(str(tmp_path_factory.mktemp("pki")))


@pytest.fixture(scope="session")
def blast(tmp_path_factory):
    program = str(tmp_path_factory.mktemp("blast") / "blast")
    source = os.path.join(os.path.dirname(__file__), "blast.c")
    subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror",
                    "-o", program, source], check=True)
    return program


@pytest.fixture
def lab(request, net, pki, blast, tmp_path):
    """The hosts of one test; everything it started ends with it."""
    made = lab_module.Lab(net, pki, blast, str(tmp_path))
    request.node.lab = made
    yield made
    made.end()
    assert not made.sanitizer_reports(), "\n".join(made.sanitizer_reports())
    # Captures are large; those of a failure stay for a look.
    if not getattr(request.node, "has_failed", False):
        shutil.rmtree(made.dir, ignore_errors=True)


@pytest.fixture
def agent(lab):
    """An agent without configuration, on its default addresses."""
    return lab.agent()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    made = getattr(item, "lab", None)
    item.has_failed = getattr(item, "has_failed", False) or report.failed
    if report.failed and made is not None:
        for proc in made.procs:
            report.sections.append((f"{proc.name} [{proc.pid}]", proc.report()[-6000:]))


def pytest_terminal_summary(terminalreporter):
    """What the fault tests did, and how to repeat it."""
    if faultlab.notes:
        terminalreporter.section("faults")
        terminalreporter.write_line(f"CAPTEST_SEED={faultlab.SEED}")
        for line in faultlab.notes:
            terminalreporter.write_line(line)
