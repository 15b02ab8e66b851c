import os

import pytest

from gateway.runtime.file_states import FileStates, digests_of, directories_of


@pytest.fixture
def states():
    return FileStates()


def follow(states, *paths):
    states.follow(digests_of(paths))


def test_a_file_has_changed_when_it_holds_something_else(tmp_path, states):
    file = tmp_path / "a"
    file.write_text("one")
    follow(states, file)
    assert states.changed() == ()
    file.write_text("two")
    assert states.changed() == (file,)
    assert states.changed() == (file,)  # until it is accepted
    states.accept()
    assert states.changed() == ()


def test_a_touch_is_no_change(tmp_path, states):
    file = tmp_path / "a"
    file.write_text("one")
    follow(states, file)
    os.utime(file, (1, 1))
    assert states.changed() == ()
    file.unlink()
    file.write_text("one")
    assert states.changed() == ()


def test_a_change_of_the_same_size_and_time_is_one(tmp_path, states):
    file = tmp_path / "a"
    file.write_text("one")
    os.utime(file, (1, 1))
    follow(states, file)
    assert states.changed() == ()
    other = tmp_path / "b"
    other.write_text("two")
    os.utime(other, (1, 1))
    other.rename(file)
    assert states.changed() == (file,)


def test_a_file_that_is_not_read_again_is_not_read_again(tmp_path, states, monkeypatch):
    file = tmp_path / "a"
    file.write_text("one")
    follow(states, file)
    assert states.changed() == ()
    monkeypatch.setattr("gateway.runtime.file_states.digest_of", lambda _: pytest.fail("it was read again"))
    assert states.changed() == ()


def test_a_file_that_goes_and_one_that_comes_have_changed(tmp_path, states):
    goes, comes = tmp_path / "goes", tmp_path / "comes"
    goes.write_text("x")
    follow(states, goes, comes)
    assert (states.had(goes), states.had(comes)) == (True, False)
    goes.unlink()
    comes.write_text("y")
    assert set(states.changed()) == {goes, comes}


def test_a_pipe_is_not_read(tmp_path, states):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    follow(states, pipe)  # would block for ever
    assert states.had(pipe) is False


def test_a_swapped_link_is_a_change_of_what_is_behind_it(tmp_path, states):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "data").symlink_to("one")
    follow(states, tmp_path / "data" / "file")
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    assert states.changed() == (tmp_path / "data" / "file",)


def test_a_link_that_stays_while_what_is_behind_it_changes(tmp_path, states):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "file").symlink_to("..data/file")
    follow(states, tmp_path / "file")
    assert states.changed() == ()  # from here on stamps are compared
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "..data")
    assert states.changed() == (tmp_path / "file",)


class TestDirectories:
    def test_that_of_the_file(self, tmp_path):
        assert directories_of([tmp_path / "missing"]) == {tmp_path}

    def test_those_of_the_links_as_kubernetes_makes_them(self, tmp_path):
        (tmp_path / "..2026").mkdir()
        (tmp_path / "..2026" / "file").write_text("x")
        (tmp_path / "..data").symlink_to("..2026")
        (tmp_path / "file").symlink_to("..data/file")
        assert directories_of([tmp_path / "file"]) == {tmp_path, tmp_path / "..data", tmp_path / "..2026"}

    def test_those_of_a_link_higher_up(self, tmp_path):
        (tmp_path / "deep" / "real").mkdir(parents=True)
        (tmp_path / "above").mkdir()
        (tmp_path / "above" / "link").symlink_to(tmp_path / "deep" / "real")
        found = directories_of([tmp_path / "above" / "link" / "file"])
        assert found == {tmp_path / "above" / "link", tmp_path / "above", tmp_path / "deep" / "real"}

    def test_a_circle_of_links_ends(self, tmp_path):
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        assert directories_of([tmp_path / "a"]) == {tmp_path}

    def test_missing_ones_are_left_out(self, tmp_path):
        assert directories_of([tmp_path / "no" / "such" / "file"]) == set()
