"""What can go wrong, split by what the caller does about it."""


class GridDbError(Exception):
    """Base of every error of this library. The text is one sentence and holds no secret."""


class DatabaseConfigError(GridDbError):
    """The settings cannot work; somebody has to change them."""


class DatabaseUnavailableError(GridDbError):
    """The database did not take or give the data; keep the data and try again."""


class SchemaError(GridDbError):
    """The tables are absent, foreign or of another revision; run the migrations."""


class ConstraintError(GridDbError):
    """A row contradicts a constraint, for example names an account that does not exist."""


class InvalidValueError(GridDbError, ValueError):
    """A value would not come back as it went in: a float, a naive time, a number without end."""


class SecretKeyError(GridDbError):
    """There is no key, or not the right one, for the stored credentials."""


class TenantError(GridDbError):
    """A session serves one tenant and was asked to serve another."""
