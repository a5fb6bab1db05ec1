package Pulse::Written;

# A studio whose sidecar asks the chat model: nginx with gateway and documents,
# the sidecar, and a provider that plays what the suite says it wrote.
#
#     my $studio = Pulse::Written->start;
#     $studio->writes({ slides => [...] }, 'no JSON', { status => 503 });
#     my $reply = $studio->post('/v1/slides/generate', $key, {...});
#     my @asked = $studio->asked(1);          # bodies that the provider got

use v5.30;
use warnings;

use JSON::PP ();
use Pulse::Client qw(http);
use Pulse::Env ();
use Pulse::Gateway qw(gateway_http provider);
use Pulse::Nginx;
use Pulse::Replay;
use Pulse::Sidecar;
use Test::More ();

my $json = JSON::PP->new->canonical->utf8;


# start(options => [...] of the sidecar, rules => text of those of content)

sub start {
    my ($class, %o) = @_;

    my $socket = Pulse::Env::suite_dir() . '/studio.sock';
    my $sidecar = Pulse::Sidecar->start(
        options => ['--studio', $socket, @{ $o{options} // [] }]);
    my $files = $sidecar->files;
    my $replay = Pulse::Replay->start;
    my $rules = Pulse::Env::suite_file('rules.txt', $o{rules});

    my $nginx = Pulse::Nginx->new(
        workers => 2,
        %{ $o{nginx} // {} },
        http => gateway_http(provider('openai', $replay->url . '/v1',
                                      'models gpt-*;') . <<"HTTP"),
    pulse_sidecar $ENV{TEST_NGINX_PULSE_SIDECAR};
    pulse_public_url http://studio.example;
    pulse_upgrade_url http://studio.example/plans;
    pulse_route_default openai:gpt-6-luna;
    pulse_file_store $files key=$files.key;
    pulse_moderation_rules $rules;
    pulse_moderation local;
HTTP
        config => <<"CONFIG",
        listen "unix:$socket";
        client_body_buffer_size 1m;
        error_page 403 404 405 413 500 502 503 504 \@pulse_error;
        location \@pulse_error { pulse_error; }

        location = /v1/chat/complete { pulse_auth on; pulse_gateway; }
        location = /v1/slides/generate {
            pulse_auth on;
            pulse_docs feature=slide_maker chat;
        }
        location = /v1/pdf/summarize {
            pulse_auth on;
            pulse_docs feature=pdf_summary chat;
        }
        location /v1/usage/ { pulse_auth on; pulse_api; }
        location /v1/keys { pulse_auth on; pulse_api; }
        location /v1/ { pulse_auth on; pulse_docs; }
        location /files/ {
            client_max_body_size 25m;
            pulse_auth off;
            pulse_files /stored/;
        }
        location /stored/ { internal; alias $files/; log_not_found off; }
CONFIG
    );

    return bless { nginx => $nginx->run, sidecar => $sidecar,
                   replay => $replay }, $class;
}


sub nginx { $_[0]{nginx} }
sub sidecar { $_[0]{sidecar} }
sub replay { $_[0]{replay} }
sub port { $_[0]{nginx}->port }


# What the model writes, one for each time that it is asked: a reference is
# written as JSON; one with "status" or "hang" is an answer as Pulse::Replay
# takes it; "finish" and "text" say how it ends.

sub writes {
    my ($self, @answers) = @_;

    $self->{replay}->play(map { answer($_) } @answers);
}


sub answer {
    my ($what) = @_;

    return $what if ref $what eq 'HASH' && ($what->{status} || $what->{hang});

    my $finish = 'stop';

    if (ref $what eq 'HASH' && exists $what->{finish}) {
        $finish = $what->{finish};
        $what = $what->{text};
    }

    return { json => {
        id => 'c', object => 'chat.completion', created => 1,
        model => 'gpt-6-luna',
        choices => [{ index => 0, finish_reason => $finish, message => {
            role => 'assistant',
            content => ref $what ? JSON::PP->new->canonical->encode($what)
                                 : $what } }],
        usage => { prompt_tokens => 100, completion_tokens => 40,
                   total_tokens => 140 },
    } };
}


sub post {
    my ($self, $path, $key, $body, %more) = @_;

    return http(POST => $path, port => $self->port, bearer => $key,
                json => $body, %more);
}


sub asked {
    my ($self, $n) = @_;

    return map { $_->{json} } $self->{replay}->requests($n);
}


# Somebody new, with a key: make_user()'s options.

sub person {
    my ($self, %o) = @_;

    my $user = Pulse::Env::make_user(plan => 'pro', tokens => 100_000,
                                     locale => 'ar', %o);

    return ($user, Pulse::Env::make_key($user));
}


# Seven tests of an answer to what is against the rules: nobody was asked, and
# it was for nothing.

sub is_flagged {
    my ($self, $reply, $user) = @_;

    my $error = $reply->{json}{error};

    Test::More::is($reply->{status}, 400, 'refused');
    Test::More::is($error->{code}, 'CONTENT_FLAGGED', 'by its code');
    Test::More::like($error->{message}, qr/\p{Arabic}/, 'in Arabic');
    Test::More::is_deeply($error->{details}, { categories => ['violence'] },
                          'with its categories');
    Test::More::is($reply->{json}{meta}{trace_id},
                   $reply->{headers}{'x-trace-id'}, 'and its trace');
    Test::More::is_deeply([$self->asked(0)], [], 'no provider has seen it');
    Test::More::is(Pulse::Env::sql("SELECT count(*) FROM usage_events
                                    WHERE user_id = '$user'"), 0,
                   'and nothing is metered');
}


# Puts a file of this person's, and returns its id and the last answer.

sub upload {
    my ($self, $key, $bytes, %o) = @_;

    my $said = $self->post('/v1/files/presigned-upload', $key, {
        filename => 'a.pdf', content_type => 'application/pdf',
        size_bytes => length $bytes, %o });
    my $data = $said->{json}{data};

    return (undef, $said) if $said->{status} != 201;

    my $path = $data->{upload_url} =~ s{^http://studio\.example}{}r;

    http(PUT => $path, port => $self->port, body => $bytes);

    return ($data->{file_id},
            http(POST => "/v1/files/$data->{file_id}/complete",
                 port => $self->port, bearer => $key));
}


sub stop {
    my ($self) = @_;

    my $nginx = $self->{nginx}->stop;

    return ($self->{sidecar}->stop, $nginx, [$self->{nginx}->problems]);
}


1;
