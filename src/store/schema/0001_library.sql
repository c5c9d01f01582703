-- What a library is: folders, the files found in them, the photos those files hold, and vectors.
-- Paths are blobs: a file system promises bytes, not UTF-8. Times are nanoseconds since 1970 UTC.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A folder that the user gave us. It is only ever read.
CREATE TABLE root (
    id       INTEGER PRIMARY KEY,
    path     BLOB    NOT NULL UNIQUE,
    added_ns INTEGER NOT NULL,
    seen_ns  INTEGER NOT NULL,             -- last run that found it there
    offline  TEXT                          -- why nothing of it was looked at in the last run, or NULL
) STRICT;

-- One content, however many files hold it.
CREATE TABLE photo (
    id          INTEGER PRIMARY KEY,
    content     BLOB    NOT NULL UNIQUE CHECK (length(content) = 32), -- SHA-256 of the file's bytes
    size_bytes  INTEGER NOT NULL,
    format      TEXT    NOT NULL,
    width_px    INTEGER NOT NULL,          -- upright
    height_px   INTEGER NOT NULL,
    taken_ns    INTEGER,                   -- capture time; local time read as UTC where no zone is known
    latitude    REAL,
    longitude   REAL,
    camera      TEXT,
    n_live      INTEGER NOT NULL DEFAULT 0 -- files that hold it and are not gone; kept by triggers
) STRICT;
CREATE INDEX photo_dead ON photo (id) WHERE n_live = 0;

-- A path below a root. A file that has gone stays as a tombstone (gone_ns), and so does its photo.
CREATE TABLE file (
    id         INTEGER PRIMARY KEY,
    root_id    INTEGER NOT NULL REFERENCES root (id) ON DELETE CASCADE,
    path       BLOB    NOT NULL,
    size_bytes INTEGER NOT NULL,
    mtime_ns   INTEGER NOT NULL,
    photo_id   INTEGER REFERENCES photo (id),
    error      TEXT,                       -- why there is no photo: one line
    retry      INTEGER NOT NULL DEFAULT 0, -- the error may pass (permission, disk): try on each run
    gone_ns    INTEGER,
    UNIQUE (root_id, path),
    CHECK ((photo_id IS NULL) = (error IS NOT NULL))
) STRICT;
CREATE INDEX file_photo ON file (photo_id) WHERE photo_id IS NOT NULL;

CREATE TRIGGER file_insert AFTER INSERT ON file WHEN new.photo_id IS NOT NULL AND new.gone_ns IS NULL
BEGIN
    UPDATE photo SET n_live = n_live + 1 WHERE id = new.photo_id;
END;
CREATE TRIGGER file_delete AFTER DELETE ON file WHEN old.photo_id IS NOT NULL AND old.gone_ns IS NULL
BEGIN
    UPDATE photo SET n_live = n_live - 1 WHERE id = old.photo_id;
END;
CREATE TRIGGER file_update AFTER UPDATE OF photo_id, gone_ns ON file
BEGIN
    UPDATE photo SET n_live = n_live - 1 WHERE id = old.photo_id AND old.gone_ns IS NULL;
    UPDATE photo SET n_live = n_live + 1 WHERE id = new.photo_id AND new.gone_ns IS NULL;
END;

-- Vectors of different model files, preprocessing or precision are never compared: each has a space.
CREATE TABLE space (
    id         INTEGER PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    model      TEXT    NOT NULL,
    dim        INTEGER NOT NULL CHECK (dim > 0),
    generation INTEGER NOT NULL DEFAULT 0, -- of the last transaction that added vectors: grows, and is no other's
    -- What the sidecar file must say to be believed; NULL: there is none, or a vector was removed.
    sidecar_generation INTEGER,
    sidecar_rows       INTEGER
) STRICT;

CREATE TABLE vector (
    space_id   INTEGER NOT NULL REFERENCES space (id) ON DELETE CASCADE,
    photo_id   INTEGER NOT NULL REFERENCES photo (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,           -- the space's, when the vector was added
    v          BLOB    NOT NULL,           -- [dim] IEEE half, little-endian, unit length
    PRIMARY KEY (space_id, photo_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX vector_generation ON vector (space_id, generation);
CREATE TRIGGER vector_delete AFTER DELETE ON vector
BEGIN
    UPDATE space SET sidecar_generation = NULL, sidecar_rows = NULL WHERE id = old.space_id;
END;
