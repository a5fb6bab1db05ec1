package Bench::Measure;

# One measurement: the client against a server, and what the kernel has
# accounted to the server's processes meanwhile.

use v5.30;
use warnings;

use Exporter qw(import);
use IPC::Open2 qw(open2);
use JSON::PP ();
use List::Util qw(sum);
use Pulse::Env ();
use Time::HiRes qw(sleep);

our @EXPORT_OK = qw(children cpu_ns measure held median proportional_bytes
                    question_file);

my $json = JSON::PP->new->canonical->utf8;


# question_file(dialect, path => p, model => m, size => bytes of the body,
#     answer => [bytes, chunks, gap]): a request for the client

my %questions;

sub question_file {
    my (%o) = @_;

    my $answer = join ':', @{ $o{answer} };
    my $more = join '', map { "$_\r\n" } @{ $o{headers} // [] };
    my $name = join '-', $o{dialect}, $o{model}, $o{size}, $answer =~ tr/:/./r,
                         length $more;

    return $questions{$name} if defined $questions{$name};

    my $stream = $o{answer}[1] ? 1 : 0;
    my $body = body_of(%o, text => "bench:$answer;", stream => $stream);
    my $missing = $o{size} - length $body;

    if ($missing > 0) {
        my $words = 'What is asked for here is long but makes little sense. ';
        my $text = substr $words x (1 + $missing / length $words), 0,
                          $missing;

        $body = body_of(%o, text => "bench:$answer;$text", stream => $stream);
    }

    my $path = $o{path} // path_of($o{dialect}, $o{model}, $stream);
    my $file = Pulse::Env::suite_dir() . "/question-$name";

    open my $out, '>', $file or die "$file: $!\n";
    print $out "POST $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: Bearer {{token}}\r\n"
        . "Content-Type: application/json\r\n"
        . "User-Agent: bench\r\nAccept: */*\r\n$more"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    close $out;

    return $questions{$name} = $file;
}


sub path_of {
    my ($dialect, $model, $stream) = @_;

    return '/v1/chat/completions' if $dialect eq 'openai';
    return '/v1/messages' if $dialect eq 'anthropic';
    return '/v1/responses' if $dialect eq 'responses';

    return "/v1beta/models/$model:" . ($stream
               ? 'streamGenerateContent?alt=sse' : 'generateContent');
}


# Eight turns of a talk, as chats are; the text is in the last.

sub body_of {
    my (%o) = @_;

    my @turns = map { [$_ % 2 ? 'assistant' : 'user', "Turn $_ of the talk."] }
                    0 .. 7;

    push @turns, ['user', $o{text}];

    my $stream = $o{stream} ? JSON::PP::true : JSON::PP::false;
    my %body;

    if ($o{dialect} eq 'gemini') {
        %body = (contents => [map { { role => $_->[0] eq 'user' ? 'user'
                                                                : 'model',
                                      parts => [{ text => $_->[1] }] } }
                                  @turns],
                 generationConfig => { maxOutputTokens => 100_000,
                                       temperature => 0.7 });

    } else {
        my @messages = map { { role => $_->[0], content => $_->[1] } } @turns;
        my $responses = $o{dialect} eq 'responses';
        my $limit = $responses ? 'max_output_tokens' : 'max_tokens';

        %body = (model => $o{model}, stream => $stream, $limit => 100_000,
                 temperature => 0.7,
                 ($responses ? 'input' : 'messages') => \@messages);
    }

    return $json->encode(\%body);
}


# measure(server, question => file, tokens => file, connections => n,
#     seconds => s, also => [pids]): what the client says, with "cpu" of the
# server in nanoseconds, "also" of others, and how often the server was off its
# processor

sub measure {
    my ($server, %o) = @_;

    my @also = @{ $o{also} // [] };
    my ($before, $also) = (cpu_ns($server->pid), cpu_ns(@also));
    my $switches = switches($server->pid);

    open my $out, '-|', load_command($server, %o) or die "load: $!\n";

    my $said = do { local $/; <$out> } // '';

    close $out or die $server->row . ": the client failed\n";

    my $result = $json->decode($said);

    $result->{cpu} = cpu_ns($server->pid) - $before;
    $result->{also} = cpu_ns(@also) - $also;
    $result->{switches} = switches($server->pid) - $switches;

    return $result;
}


# The same with streams that are held: calls the code while they are.

sub held {
    my ($server, $code, %o) = @_;

    my $pid = open2(my $out, my $in, load_command($server, %o), 'hold');
    my $line = <$out> // '';

    my $value = $line eq "holding\n" ? $code->() : undef;

    close $in;
    waitpid $pid, 0;

    return $value;
}


sub load_command {
    my ($server, %o) = @_;

    my $load = "$ENV{PULSE_BENCH_BUILD}/load";

    return ($load, $server->port, $o{question}, $o{tokens}, $o{connections},
            $o{seconds}, $o{ramp} ? 'ramp' : ());
}


# Of all threads, in nanoseconds.

sub cpu_ns {
    my (@pids) = @_;

    my $ns = 0;

    for my $file (map { glob "/proc/$_/task/*/schedstat" } @pids) {
        open my $in, '<', $file or next;

        $ns += (split ' ', <$in> // '0')[0];
    }

    return $ns;
}


# How often its main thread has waited, or has been made to.

sub switches {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/status" or return 0;
    local $/;

    return sum(0, <$in> =~ /voluntary_ctxt_switches:\s*(\d+)/g);
}


sub children {
    my ($parent) = @_;

    my @pids;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my $line = <$in> // next;

        push @pids, $1 if $line =~ /^(\d+) \(.*\) \S (\d+) / && $2 == $parent;
    }

    return @pids;
}


# What a process has of the memory, pages of several by their share.

sub proportional_bytes {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/smaps_rollup" or return undef;

    my ($kilobytes) = map { /^Pss:\s+(\d+)/ ? $1 : () } <$in>;

    return $kilobytes * 1024;
}


sub median {
    my @values = sort { $a <=> $b } grep { defined } @_;

    return undef if !@values;

    my $middle = int(@values / 2);

    return @values % 2 ? $values[$middle]
                       : ($values[$middle - 1] + $values[$middle]) / 2;
}


1;
