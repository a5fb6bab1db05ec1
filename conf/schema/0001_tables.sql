-- Tables of the studio.  Time is timestamptz in UTC, money is minor units,
-- amounts are tokens, images or seconds-free counts of videos.
--
-- kind: 0 tokens, 1 images, 2 videos (NGX_HTTP_PULSE_TOKENS and so on).

CREATE TABLE users (
    id          uuid PRIMARY KEY,
    email       text NOT NULL,
    locale      text NOT NULL DEFAULT 'ar' CHECK (locale IN ('ar', 'en')),
    status      text NOT NULL DEFAULT 'active'
                CHECK (status IN ('active', 'inactive')),
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX users_email ON users (lower(email));

-- Subjects of foreign issuers (JWKS files) and the users they stand for.

CREATE TABLE identities (
    issuer      text NOT NULL,
    subject     text NOT NULL,
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (issuer, subject)
);

CREATE TABLE plans (
    id          text PRIMARY KEY,
    name_ar     text NOT NULL,
    name_en     text NOT NULL,
    amount      bigint NOT NULL CHECK (amount >= 0),
    currency    text NOT NULL,
    period      interval NOT NULL,
    once        boolean NOT NULL DEFAULT false,
    tokens      bigint NOT NULL,
    images      bigint NOT NULL,
    videos      bigint NOT NULL,
    features    text[] NOT NULL,
    position    integer NOT NULL,
    active      boolean NOT NULL DEFAULT true
);

CREATE TABLE addons (
    id          text PRIMARY KEY,
    kind        smallint NOT NULL CHECK (kind BETWEEN 0 AND 2),
    quantity    bigint NOT NULL CHECK (quantity > 0),
    amount      bigint NOT NULL,
    currency    text NOT NULL,
    position    integer NOT NULL
);

CREATE TABLE subscriptions (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    plan_id       text NOT NULL REFERENCES plans,
    status        text NOT NULL
                  CHECK (status IN ('active', 'cancelled', 'expired')),
    period_start  timestamptz NOT NULL,
    period_end    timestamptz NOT NULL,
    renews_at     timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (period_start < period_end)
);

CREATE UNIQUE INDEX subscriptions_active ON subscriptions (user_id)
    WHERE status = 'active';

-- The truth of the meter: one row for each user, kind and period.

CREATE TABLE accounts (
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    kind          smallint NOT NULL CHECK (kind BETWEEN 0 AND 2),
    period_start  timestamptz NOT NULL,
    period_end    timestamptz NOT NULL,
    plan_id       text NOT NULL REFERENCES plans,
    limit_amount  bigint NOT NULL CHECK (limit_amount >= 0),
    used          bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
    leased        bigint NOT NULL DEFAULT 0 CHECK (leased >= 0),
    debt          bigint NOT NULL DEFAULT 0 CHECK (debt >= 0),
    warned_at     timestamptz,
    PRIMARY KEY (user_id, kind, period_start),
    CONSTRAINT accounts_within_limit CHECK (used + leased <= limit_amount)
);

-- An incarnation is one life of a node's shared memory.

CREATE TABLE nodes (
    incarnation   uuid PRIMARY KEY,
    name          text NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now(),
    seen_at       timestamptz NOT NULL DEFAULT now(),
    closed_at     timestamptz
);

-- leased of the account = sum of granted - returned - settled over its open
-- leases (see ngx_pulse_account.h).

CREATE TABLE leases (
    id            uuid PRIMARY KEY,
    incarnation   uuid NOT NULL REFERENCES nodes,
    user_id       uuid NOT NULL,
    kind          smallint NOT NULL,
    period_start  timestamptz NOT NULL,
    granted       bigint NOT NULL DEFAULT 0,
    returned      bigint NOT NULL DEFAULT 0,
    settled       bigint NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    closed_at     timestamptz,
    FOREIGN KEY (user_id, kind, period_start)
        REFERENCES accounts (user_id, kind, period_start) ON DELETE CASCADE,
    CONSTRAINT leases_not_overspent CHECK (granted - returned - settled >= 0)
);

CREATE INDEX leases_incarnation ON leases (incarnation)
    WHERE closed_at IS NULL;
CREATE INDEX leases_account ON leases (user_id, kind, period_start)
    WHERE closed_at IS NULL;

-- The ledger.  id is the reservation's, so that a replay is harmless.
-- Per account: used + debt = sum(amount).

CREATE TABLE usage_events (
    id            uuid PRIMARY KEY,
    lease_id      uuid,
    user_id       uuid NOT NULL,
    kind          smallint NOT NULL,
    period_start  timestamptz NOT NULL,
    amount        bigint NOT NULL CHECK (amount >= 0),
    reserved      bigint NOT NULL DEFAULT 0,
    input         bigint NOT NULL DEFAULT 0,
    cached        bigint NOT NULL DEFAULT 0,
    output        bigint NOT NULL DEFAULT 0,
    reasoning     bigint NOT NULL DEFAULT 0,
    estimated     boolean NOT NULL DEFAULT false,
    source        text NOT NULL DEFAULT 'gateway',
    model         text,
    provider      text,
    trace_id      text,
    metadata      jsonb,
    created_at    timestamptz NOT NULL DEFAULT now(),
    recorded_at   timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (user_id, kind, period_start)
        REFERENCES accounts (user_id, kind, period_start) ON DELETE CASCADE
);

CREATE INDEX usage_events_user ON usage_events (user_id, created_at, id);
CREATE INDEX usage_events_account
    ON usage_events (user_id, kind, period_start);

-- Sign-in.

CREATE TABLE sessions (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    revoked_at    timestamptz,
    network       text,
    user_agent    text
);

CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE api_keys (
    id            uuid PRIMARY KEY,
    user_id       uuid REFERENCES users ON DELETE CASCADE,
    name          text NOT NULL,
    prefix        text NOT NULL,
    hash          bytea NOT NULL UNIQUE,
    internal      boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    revoked_at    timestamptz,
    CHECK (internal OR user_id IS NOT NULL)
);

CREATE INDEX api_keys_user ON api_keys (user_id);

CREATE TABLE magic_links (
    hash          bytea PRIMARY KEY,
    email         text NOT NULL,
    locale        text NOT NULL,
    network       text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz
);

CREATE INDEX magic_links_email ON magic_links (lower(email), created_at);
CREATE INDEX magic_links_network ON magic_links (network, created_at);

-- What is refused before its time; nodes follow it by "seq".

CREATE TABLE revocations (
    seq           bigserial PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('session', 'key', 'user')),
    id            uuid NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL
);

-- Mail to be sent: stored first, sent by the sidecar.

CREATE TABLE outbox (
    id            bigserial PRIMARY KEY,
    kind          text NOT NULL,
    recipient     text NOT NULL,
    locale        text NOT NULL,
    payload       jsonb NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    sent_at       timestamptz,
    tries         integer NOT NULL DEFAULT 0,
    next_try_at   timestamptz NOT NULL DEFAULT now(),
    error         text
);

CREATE INDEX outbox_due ON outbox (next_try_at) WHERE sent_at IS NULL;
