"""Contacts of submissions: found, made, completed, never emptied, overwritten where asked."""

from typing import Any

from marketing_pipelines_tests.forms.google import HEADER, MAPPING, FormWorld, row


def contacts(world: FormWorld, columns: str = "external_id, first_name") -> list[Any]:
    return world.rows(f"select {columns} from crm.contacts order by id")


def test_a_contact_is_found_by_external_id_then_by_address_the_oldest_first(
    world: FormWorld,
) -> None:
    world.contacts(
        {"email": "other@x.example"}, {"email": " P1@X.example"}, {"email": "p1@x.example"}
    )
    world.form(mapping={**MAPPING, "Id": "external_id"})
    world.google.sheets["sheet-1", "answers"] = [
        [*HEADER, "Id"], [*row(1), "c1"], row(1, "By address"), [*row(1, "Unknown"), "c9"],
        [row(1)[0], "", "No address", "Rome", "c3"],
    ]  # fmt: skip
    world.read()
    assert world.submissions(
        "data ->> 'Name', (select external_id from crm.contacts where id = contact_id), reason"
    ) == [
        ("P1", "c1", None), ("By address", "c2", None), ("Unknown", "c2", None),
        ("No address", "c3", None),
    ]  # fmt: skip
    assert len(contacts(world)) == 3


def test_rows_of_one_new_address_make_one_contact_with_the_latest_values(world: FormWorld) -> None:
    world.sheet.extend([row(1, "First", ""), [row(9)[0], "P1@x.example", "Last", ""]])
    world.sheet.append([row(5)[0], "p1@x.example", "", "Rome"])
    world.read()
    assert contacts(world, "email, first_name, attributes") == [
        ("P1@x.example", "Last", {"city": "Rome"})
    ]
    assert len(set(world.submissions("contact_id"))) == 1


def test_fields_are_completed_and_neither_emptied_nor_overwritten(world: FormWorld) -> None:
    world.contacts(
        {"email": "p1@x.example", "first_name": "Augusta", "attributes": {"city": "Paris"}},
        {"email": "p2@x.example", "first_name": " ", "attributes": {}},
    )
    world.sheet.extend([row(1), row(2), [row(3)[0], "p1@x.example", "", ""]])
    world.read()
    assert contacts(world, "first_name, attributes") == [
        ("Augusta", {"city": "Paris"}), ("P2", {"city": "Lisbon"})
    ]  # fmt: skip
    # An edit does not reach what the row did not bring.
    world.sheet[1] = row(1, "Ada", "Oslo")
    world.read(1)
    assert contacts(world, "first_name, attributes")[0] == ("Augusta", {"city": "Paris"})


def test_a_mapping_may_overwrite(world: FormWorld) -> None:
    world.contacts({"email": "p1@x.example", "first_name": "Augusta", "phone": "1"})
    world.form(
        mapping={
            **MAPPING,
            "Name": {"column": "first_name", "overwrite": True},
            "City": {"column": "phone", "overwrite": True},
        }
    )
    world.sheet.append(row(1, "Ada", ""))
    world.read()
    assert contacts(world, "first_name, phone") == [("Ada", "1")]


def test_a_contact_that_is_changed_elsewhere_stays_so_while_its_row_stays(world: FormWorld) -> None:
    world.sheet.append(row(1))
    world.read()
    world.execute("update crm.contacts set first_name = null, email = 'new@x.example'")
    world.read(1)
    assert contacts(world, "email, first_name") == [("new@x.example", None)]
    # Another answer of the row leads to the same contact still.
    world.sheet[1] = row(1, city="Rome")
    world.read(2)
    assert contacts(world, "email, first_name, attributes") == [
        ("new@x.example", "P1", {"city": "Rome"})
    ]


def test_a_contact_that_only_messages_named_is_announced_by_its_form(world: FormWorld) -> None:
    world.contacts({"email": "p1@x.example", "source": "api"}, {"source": "stub", "email": None})
    assert world.events("contact.created") == []
    world.read()
    world.form(mapping={**MAPPING, "Id": "external_id"})
    world.google.sheets["sheet-1", "answers"] = [
        [*HEADER, "Id"], row(1), [row(2)[0], "p2@x.example", "Bob", "", "c2"],
    ]  # fmt: skip
    world.read(1)
    assert world.events("contact.created") == ["c1", "c2"]
    assert contacts(world, "source, email") == [
        ("form", "p1@x.example"), ("form", "p2@x.example")
    ]  # fmt: skip


def test_a_contact_of_another_organization_is_not_found(world: FormWorld) -> None:
    world.contacts({"email": "p1@x.example"}, organization="umbra")
    world.sheet.append(row(1))
    world.read()
    assert world.rows("select organization_id from crm.contacts order by id") == [
        (world.organizations["umbra"],), (world.organizations["acme"],)
    ]  # fmt: skip
