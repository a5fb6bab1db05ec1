# The sidecar killed at each step of a video: it is charged if its owner has
# it, and not otherwise, and no provider is asked for it twice.

use v5.30;
use warnings;

use lib 't/lib';
use Pulse::Client qw(http);
use Pulse::Env 'own';
use Pulse::Video;
use Pulse::Wire;
use Test::More;

my $wire = Pulse::Wire->start;

sql("UPDATE job_schedules SET next_at = 'infinity'");

my $video = Pulse::Video->start(database => $wire->conninfo);
my $twin = $video->twin;
my $user = make_user(plan => 'creator', locale => 'en', videos => 50);
my $key = make_key($user);
my $model = 'google/veo-3.1';

$video->sidecar->stop;


sub begin {
    my $id = uuid();

    sql("SELECT status FROM video_begin('$id', '$user', 'replicate', '$model',"
        . " '{\"prompt\": \"a kite\"}', '1 hour', 9, 't')");

    return $id;
}


# Nobody waits for the lease of one that is gone.

sub due {
    sql("UPDATE jobs SET due_at = now() WHERE state IN ('running', 'waiting')");
}


# Its status when it has ended, without the pauses between its steps.

sub ended {
    my ($id) = @_;

    return wait_until {
        sql("UPDATE jobs SET due_at = now() WHERE state = 'waiting'"
            . ' AND due_at > now(); NOTIFY jobs');

        return scalar sql("SELECT status FROM tasks WHERE id = '$id'"
                          . " AND status NOT IN ('queued', 'processing')");
    } 60;
}


# What is true of a video that has ended, however.

sub check {
    my ($id, $status, $before) = @_;

    my ($used, $leased) = split /\+/, $video->account($user);
    my $events = sql("SELECT coalesce(sum(amount), 0) FROM usage_events"
                     . " WHERE id = '$id'");
    my @files = sql("SELECT f.id FROM tasks t JOIN files f ON f.id::text IN"
                    . " (result #>> '{video,file_id}',"
                    . " result #>> '{video,thumbnail_id}')"
                    . " WHERE t.id = '$id'");
    my $whole = grep { -s $video->sidecar->files . '/' . substr($_, -2)
                       . "/$_" } @files;

    is("$events $leased " . ($used - $before) . " " . @files . " $whole",
       $status eq 'completed' ? '1 0 1 2 2' : '0 0 0 0 0',
       "$status: events, held, charged, files, on the shelf");
    is_deeply([sql('SELECT * FROM usage_audit()')], []);

    return @{ $twin->tell('jobs') };
}


# before a statement is after the one before it

my @steps = ([after => 'task_load'], [before => 'video_submitting'],
             [after => 'video_submitting', 'lost'],
             [before => 'video_submitted', 'lost'],
             [after => 'video_submitted'], [after => 'task_progress'],
             [after => 'job_retry'], [after => 'job_done'],
             [after => 'task_complete'],
             [before => 'COMMIT'], [after => 'COMMIT']);

for my $step (@steps) {
    my ($when, $match, $lost) = @$step;

    subtest "$when $match" => sub {
        my ($before) = $video->account($user) =~ /^(\d+)/;

        $twin->tell(begin => { state => 'done' });

        my $sidecar = $video->sidecar_start;

        $wire->kill_at($sidecar->pid, when => $when, match => $match);

        my $id = begin();
        my $hit = wait_until { $wire->hit } 30;

        ok($hit, 'killed');
        $sidecar->wait_gone;
        due();

        $sidecar = $video->sidecar_start;

        my $status = ended($id);

        is($status, $lost ? 'failed' : 'completed');
        is(scalar check($id, $status, $before),
           $match eq 'video_submitting' ? 0 + !$lost : 1,
           'asked for once at most');
        like($sidecar->log_text, qr/\Q$id\E: replicate may make it for nobody/)
            if $lost;
        $sidecar->stop;
        $wire->disarm;
    };
}


subtest 'while the provider is asked' => sub {
    my ($before) = $video->account($user) =~ /^(\d+)/;

    $twin->tell(begin => { state => 'done' });
    $twin->tell(fault => { times => 1, hang => 1 });

    my $sidecar = $video->sidecar_start;
    my $id = begin();

    $video->asked(1);
    $sidecar->killed;
    due();
    $sidecar = $video->sidecar_start;

    is(ended($id), 'failed');
    is(scalar check($id, 'failed', $before), 1);
    $sidecar->stop;
};


subtest 'canceled while nobody is there' => sub {
    my ($before) = $video->account($user) =~ /^(\d+)/;

    $twin->tell('begin');

    my $sidecar = $video->sidecar_start;
    my $id = begin();

    $video->asked(1);

    my $running = wait_until {
        return sql("SELECT 1 FROM videos WHERE task_id = '$id'"
                   . " AND step = 'running'");
    } 30;

    ok($running);
    $sidecar->killed;
    sql("SELECT task_cancel('$user', '$id')");
    due();
    $sidecar = $video->sidecar_start;

    my $told = wait_until { return $twin->tell('jobs')->[0]{canceled} } 30;

    ok($told, 'the provider hears of it');
    check($id, 'cancelled', $before);
    $sidecar->stop;
};


subtest 'Postgres and the sidecar, both' => sub {
    my ($before) = $video->account($user) =~ /^(\d+)/;

    $twin->tell('begin');

    my $sidecar = $video->sidecar_start;
    my $id = begin();

    $video->asked(1);
    $sidecar->stop('KILL');
    postgres->stop('QUIT');
    postgres->start;
    due();
    $twin->tell(set => { state => 'done' });
    $sidecar = $video->sidecar_start;

    # whether the name of the operation was stored is a race

    my $status = ended($id);

    like($status, qr/^(?:completed|failed)$/);
    is(scalar check($id, $status, $before), 1);
    $sidecar->stop;
};


subtest 'while it begins' => sub {
    my $n = 0;

    for my $step ([before => 'document_claim'], [after => 'video_begin'],
                  [before => 'COMMIT'], [after => 'COMMIT'])
    {
        my ($when, $match) = @$step;
        my %headers = ('Idempotency-Key' => 'key-' . ++$n);

        $twin->tell(begin => { state => 'done' });

        my $sidecar = $video->sidecar_start;

        $wire->kill_at($sidecar->pid, when => $when, match => $match);
        isnt($video->ask($key, headers => \%headers)->{status}, 202);
        ok($wire->hit, "$when $match");
        $sidecar->wait_gone;
        due();
        $wire->disarm;

        $sidecar = $video->sidecar_start;

        my $reply = $video->ask($key, headers => \%headers);
        my @tasks = sql("SELECT id FROM tasks WHERE status IN"
                        . " ('queued', 'processing', 'completed')"
                        . ' ORDER BY created_at DESC LIMIT 1');

        if ($match eq 'COMMIT' && $when eq 'after') {
            is("$reply->{status} $reply->{json}{data}{job_id}",
               "202 $tasks[0]", 'the same video');
            is(ended($tasks[0]), 'completed');

        } elsif ($reply->{status} == 202) {
            is(ended($reply->{json}{data}{job_id}), 'completed',
               'the first one');

        } else {
            is($reply->{status}, 409, 'the key waits for its time');
        }

        my $lost = sql("SELECT count(*) FROM leases l WHERE kind = 2 AND"
                       . ' closed_at IS NULL AND NOT EXISTS (SELECT FROM'
                       . ' tasks WHERE id = l.id)');

        is($lost, 0, 'nothing is held for nobody');
        $sidecar->stop;
    }
};

done_testing();
