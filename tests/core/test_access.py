"""Who may do what, for every role and permission there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ambientd.core.access import GIVEN, GRANTS, LOCAL, Kind, Permission, Principal, Role, permissions, reaches

SAID = {Permission.READ, Permission.AMEND}
"""Permissions whose answers hold what was said."""

ids = st.sampled_from(["d-one", "d-two", "a-three", "local"])


def somebody(role: Role, name: str = "d-one") -> Principal:
    return LOCAL if role is Role.LOCAL else Principal(name, Kind.DEVICE, role, "somebody")


def test_an_operator_reads_nothing_that_was_said():
    assert SAID.isdisjoint(permissions(Role.OPERATOR))


def test_who_speaks_from_the_box_may_do_everything_to_everybodys_sessions():
    for permission in Permission:
        assert reaches(LOCAL, permission, "d-one", shared=False)


def test_only_operators_keep_the_box():
    for role in GIVEN - {Role.OPERATOR}:
        assert not somebody(role).may(
            {Permission.RUN_BOX, Permission.PEOPLE, Permission.AUDIT, Permission.SYNC, Permission.SEE_BOX}
        )


def test_no_role_that_can_be_given_has_everything():
    for role in GIVEN:
        assert set(permissions(role)) < set(Permission)


@given(role=st.sampled_from(Role), permission=st.sampled_from(Permission), owner=ids, shared=st.booleans())
def test_nothing_is_in_reach_without_the_permission(role, permission, owner, shared):
    if permission not in GRANTS[role]:
        assert not reaches(somebody(role), permission, owner, shared=shared)


@given(permission=st.sampled_from(Permission), owner=ids, shared=st.booleans())
def test_an_integration_reaches_its_own_sessions_only(permission, owner, shared):
    if reaches(somebody(Role.INTEGRATION), permission, owner, shared=shared):
        assert owner == "d-one"


@given(permission=st.sampled_from(Permission), owner=ids)
def test_a_clinician_reaches_the_visits_of_others_only_where_they_are_shared(permission, owner):
    clinician = somebody(Role.CLINICIAN)
    if owner != clinician.id:
        assert not reaches(clinician, permission, owner, shared=False)
        assert permission not in {Permission.RECORD, Permission.DELETE} or not reaches(
            clinician, permission, owner, shared=True
        )


@given(role=st.sampled_from(Role), permission=st.sampled_from(Permission), owner=ids)
def test_sharing_visits_takes_nothing_away(role, permission, owner):
    if reaches(somebody(role), permission, owner, shared=False):
        assert reaches(somebody(role), permission, owner, shared=True)


@given(role=st.sampled_from(sorted(GIVEN)), permission=st.sampled_from(Permission), shared=st.booleans())
def test_ones_own_sessions_are_in_reach_of_whatever_one_may_do(role, permission, shared):
    principal = somebody(role)
    assert reaches(principal, permission, principal.id, shared=shared) is principal.may([permission])
