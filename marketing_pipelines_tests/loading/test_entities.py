"""Loading entities: set, clear, stay; stubs; the last row wins; nothing is rewritten in vain."""

import itertools
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from marketing_pipelines.failures import BadInputError
from marketing_pipelines.loading import LoadResult, loadable
from marketing_pipelines.loading.kinds import kinds
from marketing_pipelines_tests.installation import Installation
from marketing_pipelines_tests.waiting import until, waits_for_a_lock

numbers = itertools.count()


class Loader:
    """Writes rows into a file and loads it."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.engine = installation.engine
        self.folder = folder

    def csv(self, kind: str, *lines: str, **options: Any) -> LoadResult:
        return self._load(kind, "csv", lines, options)

    def jsonl(self, kind: str, *rows: dict[str, Any], **options: Any) -> LoadResult:
        return self._load(kind, "jsonl", [json.dumps(row) for row in rows], options)

    def _load(self, kind: str, suffix: str, lines: Any, options: dict[str, Any]) -> LoadResult:
        path = self.folder / f"{next(numbers)}.{suffix}"
        path.write_text("\n".join(lines))
        return self.installation.load(kind, path, **options)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement))]


@pytest.fixture
def loader(emptied: Installation, tmp_path: Path) -> Loader:
    return Loader(emptied, tmp_path)


def outcome(result: LoadResult) -> tuple[int, int, int, int]:
    return (result.loaded, result.changed, result.repeated, result.rejected)


FULL = {
    "organizations": ["external_id,name,timezone,settings,plan", 'o,Acme,UTC,"{""a"": 1}",gold'],
    "users": [
        "external_id,organization_id,email,name,role,active,team",
        "u,o,u@x,Uma,admin,false,north",
    ],
    "companies": ["external_id,organization_id,name,domain,size", "co,o,Co,co.example,12"],
    "contacts": [
        "external_id,organization_id,email,phone,first_name,last_name,company_id,owner_id,"
        "lifecycle_stage,lead_grade,intent_score,timezone,created_at,vip,"
        "lead_score,intent_band,lead_status,lead_status_at,lifecycle_stage_at,manual_override,"
        "enriched_at,enriched_fields,next_follow_up_at,follow_up_note,tags",
        "c,o,c@x,1,Ada,Lovelace,co,u,mql,B,12,Asia/Tokyo,2024-01-01T00:00:00Z,true,"
        "72,high,lost,,2024-02-01T00:00:00Z,true,"
        "2024-03-01T00:00:00Z,title; city,2024-04-01T00:00:00Z,Call,vip;gold",
    ],
    "deals": [
        "external_id,organization_id,name,contact_id,company_id,owner_id,pipeline,stage,status,"
        "amount,currency,expected_close_on,closed_at,stage_changed_at,tags,created_at,region",
        "d,o,Tour,c,co,u,sales,proposal,,1250.50,EUR,2024-05-01,,,big,2024-01-05T00:00:00Z,south",
    ],
    "opportunities": [
        "external_id,organization_id,contact_id,stage,travel_date,score,deleted,created_at",
        "op,o,c,QUOTED,2024-06-01,30,false,2024-01-01T00:00:00Z",
    ],
    "meetings": [
        "external_id,organization_id,title,starts_at,ends_at,owner_id,deal_id,attendees,status",
        "m,o,Demo,2024-02-01T10:00:00Z,2024-02-01T11:00:00Z,u,d,C@x; c;guest@y,planned",
    ],
    "tasks": [
        "external_id,organization_id,contact_id,deal_id,owner_id,title,state,due_at,created_at",
        "t,o,c,d,u,Call,done,2024-02-01T10:00:00Z,2024-01-01T00:00:00Z",
    ],
    "activities": [
        "external_id,organization_id,kind,direction,contact_id,deal_id,company_id,user_id,"
        "occurred_at,subject,text,source,ref",
        "a,o,call,out,c,d,co,u,2024-02-01T10:00:00Z,Hello,Talked,,",
    ],
    "score_rules": [
        "external_id,organization_id,name,rule,points,counts,most,enabled",
        'r,o,Clicks,"{""event"": ""clicked""}",5,per_day,20,true',
    ],
    "destinations": [
        "external_id,organization_id,name,url,created_at",
        "d,o,Lisbon,https://o.example/lisbon,2024-01-01T00:00:00Z",
    ],
    "campaigns": [
        "external_id,organization_id,name,status,started_at,audience,goal",
        'k,o,Spring,active,2024-01-01T00:00:00+02:00,open,"{""event"": ""purchase""}"',
    ],
    "sequences": [
        "external_id,organization_id,name,status,started_at,paused_at,cancelled_at,created_at,team",
        "q,o,First touch,paused,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z,,2023-12-01T00:00:00Z,n",
    ],
    "journeys": [
        "external_id,organization_id,name,status,started_at,paused_at,cancelled_at,created_at,team",
        "j,o,Welcome,active,2024-01-01T00:00:00Z,,,2023-12-01T00:00:00Z,north",
    ],
    "steps": [
        "program_kind,program,organization_id,external_id,name,position,type,config,enabled",
        'journey,j,o,pause,Pause,2,wait,"{""for"": ""3d""}",FALSE',
    ],
    "campaign_contacts": [
        "campaign_id,contact_id,organization_id,status,entered_at,completed_at,exited_at",
        "k,c,o,completed,2024-01-01T00:00:00Z,2024-01-02T00:00:00Z,",
    ],
    "sequence_enrolments": [
        "sequence_id,contact_id,organization_id,status,entered_at,completed_at,exited_at",
        "q,c,o,exited,2024-01-01T00:00:00Z,,2024-01-02T00:00:00Z",
    ],
    "segments": [
        "external_id,organization_id,name,rule,evaluated,team",
        's,o,Spring,"{""all"": []}",on_use,north',
    ],
    "segment_members": ["segment,contact_id,organization_id,action", "s,c,o,remove"],
    "campaign_triggers": [
        "campaign_id,external_id,organization_id,type,segment,policy,enabled",
        "k,t,o,segment,s,each_entry,1",
    ],
    "journey_triggers": [
        "journey_id,external_id,organization_id,type,segment,event_type,config,policy,created_at",
        'j,t,o,date,,,"{""attribute"": ""born"", ""yearly"": true}",,2024-01-01T00:00:00Z',
    ],
    "categories": [
        "external_id,organization_id,name,mode,is_default",
        "news,o,News,opt_in,true",
    ],
    "subscriptions": [
        "contact_id,category,organization_id,state,source,changed_at",
        "c,news,o,subscribed,form,2024-01-01T00:00:00Z",
    ],
    "templates": [
        "external_id,organization_id,channel,kind,subject,text,html,priority,valid_for",
        "hello,o,email,transactional,Hello,Dear,<p>Dear</p>,5,2d",
    ],
    "sending_domains": [
        "domain,organization_id,from_address,from_name,is_default,warmup,per_second",
        "news.example.org,o,hello@news.example.org,Acme,true,auto,5",
    ],
    "forms": [
        "external_id,organization_id,name,spreadsheet_id,sheet,header_row,mapping,key_columns,"
        "connection,backfill,enabled",
        'f,o,Contact us,1AbC-d_9,Form responses 1,2,"{""E-mail"": ""email""}",Nr;E-mail,'
        "google:main,true,true",
    ],
    "action_routes": [
        "external_id,organization_id,type,target,name,enabled,created_at",
        "r,o,crm:*,task,actions/notify_user,true,2024-01-01T00:00:00Z",
    ],
    "suppressions": [
        "contact_id,organization_id,channel,reason,since,address,action",
        "c,o,all,do_not_contact,2024-01-01T00:00:00Z,,add",
    ],
}


def test_every_kind_has_a_file_here() -> None:
    assert loadable() == [*sorted(FULL), "events"]


@pytest.mark.parametrize("kind", FULL)
def test_every_kind_is_stored_and_a_second_load_touches_no_row(loader: Loader, kind: str) -> None:
    rows = f"select *, xmin::text from {kinds()[kind].table.fullname}"
    assert outcome(loader.csv(kind, *FULL[kind])) == (1, 0, 0, 0)
    before = loader.query(rows)
    assert outcome(loader.csv(kind, *FULL[kind])) == (0, 0, 1, 0)
    assert loader.query(rows) == before
    assert loader.query("select external_id from crm.organizations") == [("o",)]


def test_a_contact_has_its_values_and_its_references(loader: Loader) -> None:
    for kind in FULL:
        loader.csv(kind, *FULL[kind])
    assert loader.query(
        "select c.email, c.phone, c.first_name, c.last_name, co.external_id, u.external_id,"
        " c.lifecycle_stage, c.lead_grade, c.intent_score, c.timezone, c.created_at::text,"
        " c.attributes from crm.contacts c join crm.companies co on co.id = c.company_id"
        " join crm.users u on u.id = c.owner_id"
    ) == [
        (
            *("c@x", "1", "Ada", "Lovelace", "co", "u", "mql", "B", 12, "Asia/Tokyo"),
            *("2024-01-01 00:00:00+00", {"vip": "true"}),
        )
    ]
    assert loader.query("select count(*) from crm.contacts, crm.companies, crm.users") == [(1,)]


def test_a_column_in_the_file_is_set_an_empty_cell_clears_an_absent_column_stays(
    loader: Loader,
) -> None:
    loader.csv(
        "contacts",
        "external_id,organization_id,email,phone,first_name,company_id,owner_id,a,b,c",
        "x,o,x@x,1,Ada,co,u,1,2,3",
    )
    result = loader.csv(
        "contacts", "external_id,organization_id,email,phone,company_id,a,b", "x,o,y@x,,,9,"
    )
    assert outcome(result) == (0, 1, 0, 0)
    assert loader.query(
        "select email, phone, first_name, company_id, owner_id is not null, attributes"
        " from crm.contacts"
    ) == [("y@x", None, "Ada", None, True, {"a": "9", "c": "3"})]


def test_in_json_lines_every_row_says_for_itself_what_it_sets(loader: Loader) -> None:
    key = {"external_id": "x", "organization_id": "o"}
    first = key | {"email": "x@x", "phone": "1", "company_id": "co", "a": {"b": [1]}, "n": 1}
    loader.jsonl("contacts", first, key | {"phone": None}, key | {"n": None, "m": True})
    assert loader.query(
        "select email, phone, company_id is null, attributes from crm.contacts"
    ) == [("x@x", None, False, {"a": {"b": [1]}, "m": True})]


def test_json_in_a_cell_is_kept_and_other_text_stays_text(loader: Loader) -> None:
    loader.csv(
        "companies",
        "external_id,organization_id,list,object,number,flag,broken,nan",
        'x,o,"[1, ""a""]","{""k"": null}",12,true,"{oops","{""a"": NaN}"',
    )
    ((attributes,),) = loader.query("select attributes from crm.companies")
    assert attributes == {
        "list": [1, "a"],
        "object": {"k": None},
        "number": "12",
        "flag": "true",
        "broken": "{oops",
        "nan": '{"a": NaN}',
    }


def test_the_last_row_of_an_entity_wins(loader: Loader) -> None:
    result = loader.csv(
        "companies", "external_id,organization_id,name,x", "a,o,1,1", "b,o,2,", "a,o,3,"
    )
    assert outcome(result) == (2, 0, 1, 0)
    assert loader.query("select external_id, name, attributes from crm.companies order by 1") == [
        ("a", "3", {}),
        ("b", "2", {}),
    ]


def test_what_nobody_knows_becomes_a_stub(loader: Loader) -> None:
    loader.csv(
        "campaign_contacts",
        "campaign_id,contact_id,organization_id,entered_at",
        "k,c,o,2024-01-01T00:00:00Z",
    )
    assert loader.query("select external_id, status, started_at from campaigns.campaigns") == [
        ("k", "imported", None)
    ]
    assert loader.query("select external_id from crm.contacts") == [("c",)]
    assert loader.query("select status from campaigns.campaign_contacts") == [("active",)]


def test_an_imported_campaign_gets_its_real_life_when_it_is_loaded(loader: Loader) -> None:
    entered = "k,c,o,2024-01-01T00:00:00Z"
    loader.csv("campaign_contacts", "campaign_id,contact_id,organization_id,entered_at", entered)
    loader.csv(
        "campaigns",
        "external_id,organization_id,status,started_at",
        "k,o,active,2024-01-01T00:00:00Z",
    )
    assert loader.query("select status, started_at::text from campaigns.campaigns") == [
        ("active", "2024-01-01 00:00:00+00")
    ]


def test_what_rows_name_and_nobody_knew_is_counted_once(loader: Loader) -> None:
    header = "campaign_id,contact_id,organization_id,entered_at"
    rows = [f"{campaign},{contact},o,2024-01-01T00:00:00Z" for campaign in "kl" for contact in "ab"]
    first = loader.csv("campaign_contacts", header, *rows)
    assert first.stubs == {"organizations": 1, "campaigns": 2, "contacts": 2}
    assert loader.csv("campaign_contacts", header, *rows).stubs == {}
    more = loader.csv("campaign_contacts", header, *rows, "k,c,o,2024-01-01T00:00:00Z")
    assert more.stubs == {"contacts": 1}


def test_programs_have_their_values(loader: Loader) -> None:
    for kind in ("campaigns", "sequences", "journeys"):
        loader.csv(kind, *FULL[kind])
    assert loader.query("select audience from campaigns.campaigns") == [("open",)]
    times = "started_at::text, paused_at::text, cancelled_at, created_at::text, attributes"
    sequences = f"select name, status, {times} from campaigns.sequences"
    journeys = f"select name, status, {times} from journey.journeys"
    started, paused = "2024-01-01 00:00:00+00", "2024-01-02 00:00:00+00"
    created = "2023-12-01 00:00:00+00"
    assert loader.query(sequences) == [
        ("First touch", "paused", started, paused, None, created, {"team": "n"})
    ]
    assert loader.query(journeys) == [
        ("Welcome", "active", started, None, None, created, {"team": "north"})
    ]


STEP = "organization_id,program_kind,program,external_id,position,type,config"


def steps_of(loader: Loader) -> list[tuple[Any, ...]]:
    return loader.query(
        "select program.kind, program.external_id, step.external_id, position, type, config,"
        " enabled from lifecycle.steps as step join lifecycle.programs as program"
        " on program.kind = program_kind and program.id = program_id order by 1, 2, position, 3"
    )


def test_programs_of_two_kinds_may_share_an_external_id(loader: Loader) -> None:
    loader.csv("campaigns", "external_id,organization_id,status", "other,o,draft", "x,o,active")
    loader.csv("journeys", "external_id,organization_id,status", "x,o,active")
    loader.csv("sequences", "external_id,organization_id,status", "x,o,active", "x,o2,active")
    rows = [f'o,{kind},x,mail,1,send_sms,"{{""text"": ""{kind}""}}"' for kind in PROGRAMS]
    assert outcome(loader.csv("steps", STEP, *rows)) == (3, 0, 0, 0)
    assert outcome(loader.csv("steps", STEP, *rows)) == (0, 0, 3, 0)
    assert steps_of(loader) == [
        (kind, "x", "mail", 1, "send_sms", {"text": kind}, True) for kind in sorted(PROGRAMS)
    ]
    assert loader.query("select kind, count(*) from lifecycle.programs group by 1 order by 1") == [
        ("campaign", 2),
        ("journey", 1),
        ("sequence", 2),
    ]


PROGRAMS = ("sequence", "campaign", "journey")


def test_a_step_whose_template_no_library_can_read_is_one_row_of_the_rejects(
    loader: Loader,
) -> None:
    texts = [
        "{% if 1 %}" * 500 + "{% endif %}" * 500,
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        "{{ " + "9" * 5000 + " }}",
        "{% for letter in 'text' %}{% endfor %}",
        "{{ first_name }}" * 100_000,
        "Hi {{ first_name }}",
    ]
    rows = [
        f'o,campaign,x,s{number},1,send_sms,"{{""text"": ""{text}""}}"'
        for number, text in enumerate(texts)
    ]
    assert outcome(loader.csv("steps", STEP, *rows)) == (1, 0, 0, 5)
    assert [row[2] for row in steps_of(loader)] == ["s5"]


def test_an_unknown_program_becomes_a_stub_of_its_kind(loader: Loader) -> None:
    rows = [f"o,{kind},x,{step},1,exit," for kind in PROGRAMS for step in "ab"]
    assert outcome(loader.csv("steps", STEP, *rows)) == (6, 0, 0, 0)
    assert loader.query("select kind, external_id, status from lifecycle.programs order by 1") == [
        ("campaign", "x", "imported"),
        ("journey", "x", "draft"),
        ("sequence", "x", "draft"),
    ]
    entered = "x,c,o,2024-01-01T00:00:00Z"
    header = "sequence_id,contact_id,organization_id,entered_at"
    loader.csv("sequence_enrolments", header, entered, "y,c,o,2024-01-01T00:00:00Z")
    header = "organization_id,{0}_id,external_id,type,event_type"
    for kind in ("campaign", "journey"):
        loader.csv(f"{kind}_triggers", header.format(kind), "o,x,t,event,a", "o,z,t,event,a")
    programs = "select kind, external_id, status from lifecycle.programs order by 1, 2"
    assert loader.query(programs) == [
        ("campaign", "x", "imported"),
        ("campaign", "z", "imported"),
        ("journey", "x", "draft"),
        ("journey", "z", "draft"),
        ("sequence", "x", "draft"),
        ("sequence", "y", "draft"),
    ]
    assert loader.query(
        "select program_kind, program.external_id from lifecycle.enrolments"
        " join campaigns.sequences as program on program.id = program_id order by 2"
    ) == [("sequence", "x"), ("sequence", "y")]


def test_a_step_keeps_what_a_file_leaves_out(loader: Loader) -> None:
    row = 'o,campaign,k,hi,1,send_sms,"{""text"": ""Hi""}",'
    loader.csv("steps", f"{STEP},enabled", row + "0")
    before = ("campaign", "k", "hi", 1, "send_sms", {"text": "Hi"}, False)
    assert steps_of(loader) == [before]
    columns = "organization_id,program_kind,program,external_id,position,type"
    loader.csv("steps", columns, "o,campaign,k,hi,2,send_sms")
    assert steps_of(loader) == [(*before[:3], 2, *before[4:])]
    loader.csv("steps", f"{columns},enabled", "o,campaign,k,hi,2,send_sms,")
    assert steps_of(loader) == [(*before[:3], 2, *before[4:6], True)]


def test_a_bad_step_is_refused_and_the_others_are_stored(loader: Loader) -> None:
    result = loader.csv(
        "steps",
        STEP,
        'o,campaign,k,a,1,wait,"{""for"": ""3d""}"',
        'o,campaign,k,b,2,wait,"{""for"": ""soon""}"',
        "o,campaign,k,c,3,send_sms,",
        "o,campaign,k,d,4,exit,",
        "o,campaign,k,e,5,exit,{",
        "o,campaign,k,f,6,jump,{}",
    )
    assert outcome(result) == (2, 0, 0, 4)
    assert result.rejects is not None
    assert sorted(result.rejects.read_text().splitlines()[1:]) == [
        "3,config,\"for: 'soon' is no length: write a number and s, min, h, d or w, e.g. 30d\"",
        "4,config,The step has no 'text' and no 'template'",
        "6,config,is not valid JSON",
        "7,type,\"'jump' is not one of send_email, send_sms, send_push, wait, branch, wait_for, "
        'split, update_contact, create_task, webhook, exit"',
    ]
    assert [row[2] for row in steps_of(loader)] == ["a", "d"]


def test_steps_of_json_lines_hold_objects_and_truth_values(loader: Loader) -> None:
    key = {"organization_id": "o", "program_kind": "sequence", "program": "q", "position": 1}
    result = loader.jsonl(
        "steps",
        key | {"external_id": "a", "type": "wait", "config": {"for": "1d"}, "enabled": False},
        key | {"external_id": "b", "type": "exit", "config": None, "enabled": None},
        key | {"external_id": "c", "type": "exit"},
        key | {"external_id": "d", "type": "send_sms", "config": None},
        key | {"external_id": "e", "type": "exit", "enabled": "yes"},
    )
    assert outcome(result) == (3, 0, 0, 2)
    assert result.rejects is not None
    assert sorted(result.rejects.read_text().splitlines()[1:]) == [
        "4,config,The step has no 'text' and no 'template'",
        "5,enabled,'yes' is neither true nor false",
    ]
    assert [(row[2], *row[5:]) for row in steps_of(loader)] == [
        ("a", {"for": "1d"}, False),
        ("b", {}, True),
        ("c", {}, True),
    ]


def test_an_awaited_event_is_known_from_the_step_and_the_trigger(loader: Loader) -> None:
    config = '"{""event"": ""clicked"", ""timeout"": ""1d""}"'
    loader.csv("steps", STEP, f"o,journey,j,w,1,wait_for,{config}")
    header = "organization_id,journey_id,external_id,type,event_type"
    loader.csv("journey_triggers", header, "o,j,t,event,signed_up")
    assert loader.query("select purpose, event_type from lifecycle.awaited_events order by 1") == [
        ("trigger", "signed_up"),
        ("wait", "clicked"),
    ]


def test_triggers_have_their_values(loader: Loader) -> None:
    loader.csv("campaign_triggers", *FULL["campaign_triggers"])
    loader.csv("journey_triggers", *FULL["journey_triggers"])
    assert loader.query(
        "select program_kind, program.external_id, trigger.external_id, type, segment.external_id,"
        " event_type, config, policy, enabled, trigger.evaluated_at"
        " from lifecycle.triggers as trigger join lifecycle.programs as program"
        " on program.kind = program_kind and program.id = program_id"
        " left join segments.segments as segment on segment.id = segment_id order by 1"
    ) == [
        ("campaign", "k", "t", "segment", "s", None, {}, "each_entry", True, None),
        (
            *("journey", "j", "t", "date", None, None, {"attribute": "born", "yearly": True}),
            *("once", True, None),
        ),
    ]
    assert loader.query("select rule from segments.segments") == [({"any": []},)]


def test_a_trigger_is_refused_alone(loader: Loader) -> None:
    key = {"organization_id": "o", "journey_id": "j", "type": "date"}
    result = loader.jsonl(
        "journey_triggers",
        key | {"external_id": "a", "config": {"attribute": "born", "at": "9:00"}},
        key | {"external_id": "b", "config": {"attribute": "born", "at": "09:00"}},
        key | {"external_id": "c"},
        key | {"external_id": "d", "type": "segment"},
    )
    assert outcome(result) == (1, 0, 0, 3)
    assert result.rejects is not None
    assert sorted(result.rejects.read_text().splitlines()[1:]) == [
        "1,config,\"at: '9:00' is no time of day: write hours and minutes, e.g. 09:00\"",
        "3,config,The config has no 'attribute'",
        "4,segment,is missing: a trigger of type segment names one",
    ]
    assert loader.query("select external_id from lifecycle.triggers") == [("b",)]


def test_an_enrolment_that_was_moved_on_is_not_disturbed(loader: Loader) -> None:
    for program, kind in (("campaign", "campaign_contacts"), ("sequence", "sequence_enrolments")):
        lines = [
            f"{program}_id,contact_id,organization_id,entered_at",
            "p,c,o,2024-01-01T00:00:00Z",
            "p,d,o,2024-01-01T00:00:00Z",
        ]
        assert outcome(loader.csv(kind, *lines)) == (2, 0, 0, 0)
        with loader.engine.begin() as connection:
            connection.exec_driver_sql(
                "update lifecycle.enrolments set step_id = 7, arrived_at = '2024-01-02',"
                " next_step_at = '2024-01-05', awaits = 'clicked'"
            )
            connection.exec_driver_sql(
                "update lifecycle.enrolments set status = 'completed', awaits = null,"
                " completed_at = '2024-01-06' where id = (select max(id) from lifecycle.enrolments)"
            )
        rows = "select *, xmin::text from lifecycle.enrolments order by id"
        before = loader.query(rows)
        assert outcome(loader.csv(kind, *lines)) == (0, 0, 2, 0)
        assert loader.query(rows) == before


def test_a_suppression_is_of_mail_unless_the_row_says_otherwise(loader: Loader) -> None:
    header = "organization_id,contact_id,channel,reason,since"
    lines = [
        header,
        "o,c,,unsubscribed,2024-01-01T00:00:00Z",
        "o,c,email,unsubscribed,2024-01-02T00:00:00Z",
        "o,c,sms,unsubscribed,2024-01-03T00:00:00Z",
    ]
    suppressed = "select channel, reason, since::text from delivery.suppressions order by 1"
    stored = [
        ("email", "unsubscribed", "2024-01-02 00:00:00+00"),
        ("sms", "unsubscribed", "2024-01-03 00:00:00+00"),
    ]
    assert outcome(loader.csv("suppressions", *lines)) == (2, 0, 1, 0)
    assert loader.query(suppressed) == stored
    result = loader.csv("suppressions", "organization_id,contact_id,reason", "o,c,unsubscribed")
    assert outcome(result) == (0, 0, 1, 0)
    assert loader.query(suppressed) == stored
    loader.csv("suppressions", header, "o,d,,complaint,")
    assert loader.query(
        "select channel, since <= now() from delivery.suppressions where reason = 'complaint'"
    ) == [("email", True)]


def test_an_empty_status_or_role_is_its_default(loader: Loader) -> None:
    loader.csv("users", "external_id,organization_id,role", "u,o,admin")
    loader.csv("users", "external_id,organization_id,role", "u,o,")
    loader.csv("campaigns", "external_id,organization_id,status", "k,o,")
    assert loader.query("select role from crm.users") == [("rep",)]
    assert loader.query("select status from campaigns.campaigns") == [("draft",)]


BAD = [
    ("users", "u,o,boss", "role,\"'boss' is not one of admin"),
    ("campaigns", "k,o,on,,", "status,\"'on' is not one of draft"),
    ("campaigns", "k,o,,2024-01-01,", "started_at,\"'2024-01-01' has no zone"),
    ("contacts", "c,o,1.5,,", "intent_score,'1.5' is not a whole number"),
    ("contacts", "c,o,99999999999,,", "intent_score,'99999999999' is not a whole"),
    ("contacts", "c,o,,Mars,", "timezone,'Mars' is not an IANA time zone"),
    ("contacts", "c,o,,,a\0b", "email,contains a NUL character"),
    ("contacts", ",o,,,", "external_id,is missing"),
    ("contacts", "c,,,,", "organization_id,is missing"),
    ("organizations", "o,[1]", "settings,is not a JSON object"),
    ("campaign_contacts", "k,c,o,", "entered_at,is missing"),
    ("campaign_contacts", "k,,o,2024-01-01T00:00:00Z", "contact_id,is missing"),
    ("sequence_enrolments", "q,c,o,", "entered_at,is missing"),
    ("sequence_enrolments", ",c,o,2024-01-01T00:00:00Z", "sequence_id,is missing"),
    ("sequences", "q,o,completed", "status,\"'completed' is not one of draft, active, paused"),
    ("journeys", "j,o,scheduled", "status,\"'scheduled' is not one of draft, active, paused"),
    ("steps", "o,flow,p,s,1,exit,,", "program_kind,\"'flow' is not one of campaign, sequence"),
    ("steps", "o,,p,s,1,exit,,", "program_kind,is missing"),
    ("steps", "o,campaign,,s,1,exit,,", "program,is missing"),
    ("steps", "o,campaign,p,,1,exit,,", "external_id,is missing"),
    ("steps", "o,campaign,p,s,,exit,,", "position,is missing"),
    ("steps", "o,campaign,p,s,first,exit,,", "position,'first' is not a whole number"),
    ("steps", "o,campaign,p,s,1,,,", "type,is missing"),
    ("steps", "o,campaign,p,s,1,jump,,", "type,\"'jump' is not one of send_email"),
    ("steps", "o,campaign,p,s,1,wait,,", 'config,"a wait has either'),
    ("steps", "o,campaign,p,s,1,wait,[],", "config,is not a JSON object"),
    ("steps", "o,campaign,p,s,1,exit,,maybe", "enabled,'maybe' is neither true nor false"),
    ("journey_triggers", "j,t,o,time,,,,,", "type,\"'time' is not one of segment, event, date"),
    ("journey_triggers", "j,t,o,,,,,,", "type,is missing"),
    ("journey_triggers", "j,t,o,segment,,,,,", "segment,is missing: a trigger of type segment"),
    ("journey_triggers", "j,t,o,event,,,,,", "event_type,is missing: a trigger of type event"),
    ("journey_triggers", "j,t,o,event,,a*,,,", "event_type,names one event type exactly"),
    ("journey_triggers", "j,t,o,date,,,,,", "config,The config has no 'attribute'"),
    ("journey_triggers", "j,t,o,date,,,{,,", "config,is not valid JSON"),
    ("journey_triggers", "j,t,o,date,,,[],,", "config,is not a JSON object"),
    ("journey_triggers", "j,t,o,segment,s,,[],,", "config,is not a JSON object"),
    ("journey_triggers", "j,t,o,event,s,a,,,", "segment,is not used by a trigger of type event"),
    ("journey_triggers", "j,t,o,segment,s,a,,,", "event_type,is not used by a trigger of type seg"),
    ("journey_triggers", 'j,t,o,segment,s,,"{""a"": 1}",,', "config,is not used by a trigger of"),
    ("journey_triggers", 'j,t,o,date,s,,"{""attribute"": ""a""}",,', "segment,is not used by a tr"),
    ("journey_triggers", 'j,t,o,date,,a,"{""attribute"": ""a""}",,', "event_type,is not used by a"),
    ("journey_triggers", 'j,t,o,event,,a,"{""source"": 1}",,', "config,source: is an unknown key"),
    ("journey_triggers", 'j,t,o,event,,a,"{""where"": 1}",,', "config,where: "),
    (
        "journey_triggers",
        'j,t,o,event,,a,"{""where"": [{""property"": ""b"", ""op"": ""like"", ""value"": 1}]}",,',
        "config,where[0].value: like takes a text",
    ),
    (
        "journey_triggers",
        'j,t,o,date,,,"{""attribute"": ""a""}",backfill,',
        'policy,"is backfill, but a trigger of type date looks at days to come only',
    ),
    ("journey_triggers", "j,t,o,segment,s,,,twice,", "policy,\"'twice' is not one of once"),
    ("journey_triggers", "j,t,o,segment,s,,,,no", "enabled,'no' is neither true nor false"),
    ("journey_triggers", ",t,o,segment,s,,,,", "journey_id,is missing"),
    ("campaign_triggers", "k,t,o,segment", "segment,is missing: a trigger of type segment names"),
    ("campaign_triggers", "k,t,o,event", "event_type,is missing: a trigger of type event names"),
    ("campaign_triggers", "k,t,o,date", "config,The config has no 'attribute'"),
    ("campaigns", "k,o,,,public", "audience,\"'public' is not one of closed, open"),
    ("suppressions", "c,o,fax,complaint,,,", "channel,\"'fax' is not one of email, sms, push"),
    ("suppressions", "c,o,,,,,", "reason,is missing"),
    ("suppressions", "c,o,,bored,,,", "reason,\"'bored' is not one of unsubscribed, hard_bounce"),
    ("suppressions", "c,o,,complaint,soon,,", "since,'soon' is not an ISO 8601 instant"),
    ("suppressions", ",o,,complaint,,,", 'contact_id,"a suppression names a contact_id or an'),
    ("suppressions", "c,o,,complaint,,a@b,", 'contact_id,"a suppression names a contact_id or an'),
    ("suppressions", ",o,sms,complaint,,0791234567,", "address,'0791234567' is no phone number"),
    ("suppressions", ",o,all,complaint,,a@b,", 'address,"an address has the channel email, sms'),
    ("suppressions", ",o,,erased,,a@b,", "reason,\"'erased' is not one of unsubscribed"),
    ("suppressions", ",o,,complaint,,a@b,drop", "action,\"'drop' is not one of add, lift"),
]
HEADERS = {
    "organizations": "external_id,settings",
    "users": "external_id,organization_id,role",
    "contacts": "external_id,organization_id,intent_score,timezone,email",
    "campaigns": "external_id,organization_id,status,started_at,audience",
    "campaign_contacts": "campaign_id,contact_id,organization_id,entered_at",
    "sequence_enrolments": "sequence_id,contact_id,organization_id,entered_at",
    "sequences": "external_id,organization_id,status",
    "journeys": "external_id,organization_id,status",
    "steps": f"{STEP},enabled",
    "campaign_triggers": "campaign_id,external_id,organization_id,type",
    "journey_triggers": "journey_id,external_id,organization_id,type,segment,event_type,config,"
    "policy,enabled",
    "suppressions": "contact_id,organization_id,channel,reason,since,address,action",
}


@pytest.mark.parametrize(("kind", "row", "expected"), BAD)
def test_a_bad_value_is_refused_and_leaves_no_trace(
    loader: Loader, kind: str, row: str, expected: str
) -> None:
    result = loader.csv(kind, HEADERS[kind], row)
    assert outcome(result) == (0, 0, 0, 1)
    assert result.rejects is not None
    assert result.rejects.read_text().splitlines()[1].startswith(f"2,{expected}")
    assert loader.query("select * from crm.organizations") == []


def test_naive_instants_are_read_in_the_named_zone(loader: Loader) -> None:
    loader.csv(
        "campaigns",
        "external_id,organization_id,started_at",
        "k,o,2024-07-01T00:00",
        timezone="Europe/Berlin",
    )
    assert loader.query("select started_at::text from campaigns.campaigns") == [
        ("2024-06-30 22:00:00+00",)
    ]


def test_enrolments_have_no_place_for_unknown_columns(loader: Loader) -> None:
    row = {
        "campaign_id": "k",
        "contact_id": "c",
        "organization_id": "o",
        "entered_at": "2024-01-01T00:00:00Z",
    }
    with pytest.raises(BadInputError, match="has the column x, which campaign_contacts have no"):
        loader.csv("campaign_contacts", ",".join([*row, "x"]), "k,c,o,2024-01-01T00:00:00Z,1")
    result = loader.jsonl("campaign_contacts", row, row | {"contact_id": "d", "x": 1})
    assert outcome(result) == (1, 0, 0, 1)
    assert result.rejects is not None
    assert "2,,has unknown columns: x" in result.rejects.read_text()


def test_an_unknown_kind_names_those_that_exist(loader: Loader) -> None:
    with pytest.raises(BadInputError, match="'rabbits' cannot be loaded: choose one of acti"):
        loader.csv("rabbits", "external_id")


ENROLMENT = "campaign_id,contact_id,organization_id,entered_at,status,completed_at,exited_at"
ENDS = (
    "select contact.external_id, status, completed_at::text, exited_at::text,"
    " entered_at::date::text from lifecycle.enrolments"
    " join crm.contacts as contact on contact.id = contact_id order by 1"
)
NINTH, TENTH = "2024-01-09 00:00:00+00", "2024-01-10 00:00:00+00"


def test_a_file_ends_who_is_under_way_and_undoes_no_end(loader: Loader) -> None:
    """The same holds of contacts that moved on since, loaded again or corrected."""
    first = [f"k,{contact},o,2024-01-01T00:00:00Z,active,," for contact in "abcd"]
    loader.csv("campaign_contacts", ENROLMENT, *first)
    with loader.engine.begin() as connection:
        connection.exec_driver_sql(
            "update lifecycle.enrolments set status = 'completed', next_step_at = null,"
            f" completed_at = '{NINTH}' where contact_id in"
            " (select id from crm.contacts where external_id in ('a', 'b'))"
        )
    ended = [("a", "completed", NINTH, None), ("b", "completed", NINTH, None)]
    assert outcome(loader.csv("campaign_contacts", ENROLMENT, *first)) == (0, 0, 4, 0)
    assert [row[:4] for row in loader.query(ENDS)][:2] == ended
    second = [
        "k,a,o,2024-01-02T00:00:00Z,,,",
        "k,b,o,2024-01-01T00:00:00Z,exited,,2024-01-10T00:00:00Z",
        "k,c,o,2024-01-01T00:00:00Z,exited,,2024-01-10T00:00:00Z",
        "k,d,o,2024-01-01T00:00:00Z,active,2024-01-10T00:00:00Z,",
    ]
    assert outcome(loader.csv("campaign_contacts", ENROLMENT, *second)) == (0, 2, 2, 0)
    assert loader.query(ENDS) == [
        (*ended[0], "2024-01-02"),
        (*ended[1], "2024-01-01"),
        ("c", "exited", None, TENTH, "2024-01-01"),
        ("d", "active", None, None, "2024-01-01"),
    ]
    assert outcome(loader.csv("campaign_contacts", ENROLMENT, *second)) == (0, 0, 4, 0)


def test_a_file_does_not_move_the_entry_of_who_stands_at_a_step(loader: Loader) -> None:
    first = [f"k,{contact},o,2024-01-01T00:00:00Z,,," for contact in "ab"]
    loader.csv("campaign_contacts", ENROLMENT, *first)
    with loader.engine.begin() as connection:
        connection.exec_driver_sql(
            "update lifecycle.enrolments set step_id = 7 where contact_id ="
            " (select id from crm.contacts where external_id = 'a')"
        )
    second = [row.replace("01-01", "01-02") for row in first]
    assert outcome(loader.csv("campaign_contacts", ENROLMENT, *second)) == (0, 1, 1, 0)
    assert [(row[0], row[4]) for row in loader.query(ENDS)] == [
        ("a", "2024-01-01"),
        ("b", "2024-01-02"),
    ]


def test_an_end_that_comes_while_a_file_is_loaded_stays(loader: Loader) -> None:
    """The file has read the contact as active, and waits for whoever moves it on."""
    first = "k,a,o,2024-01-01T00:00:00Z,active,,"
    loader.csv("campaign_contacts", ENROLMENT, first)
    corrected = "k,a,o,2024-01-02T00:00:00Z,active,,"
    loading = threading.Thread(target=loader.csv, args=("campaign_contacts", ENROLMENT, corrected))
    with loader.engine.begin() as moving:
        moving.exec_driver_sql(
            "update lifecycle.enrolments set status = 'completed', next_step_at = null,"
            f" completed_at = '{NINTH}'"
        )
        loading.start()
        until(lambda: waits_for_a_lock(loader.engine))
    loading.join()
    assert loader.query(ENDS) == [("a", "completed", NINTH, None, "2024-01-02")]


def test_who_is_under_way_has_a_time(loader: Loader) -> None:
    loader.csv("campaign_contacts", ENROLMENT, "k,a,o,2024-01-01T00:00:00Z,active,,")
    with (
        pytest.raises(sa.exc.IntegrityError, match="ck_enrolments_next_step_at"),
        loader.engine.begin() as connection,
    ):
        connection.exec_driver_sql("update lifecycle.enrolments set next_step_at = null")
