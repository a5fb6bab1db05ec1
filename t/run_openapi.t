# openapi.json says what there is, and no more.

use v5.30;
use warnings;

use lib 't/lib';
use JSON::PP ();
use Pulse::Client qw(http);
use Pulse::Env;
use Pulse::Home;
use Pulse::Shop;
use Test::More;

# what is there only if it is configured

$ENV{PULSE_PAYMENTS} = Pulse::Shop::configuration(
    providers => { hyperpay => Pulse::Shop::hyperpay('http://127.0.0.1:1') });

my $studio = Pulse::Home->new(home => suite_dir() . '/home');

$studio->run or BAIL_OUT($studio->said);

my $reply = http(GET => '/openapi.json', port => $studio->port);

is($reply->{status}, 200);
is($reply->{headers}{'content-type'}, 'application/json');

my ($status, $service) = $studio->command('ctl', 'key', 'add', '--service',
                                          '--json');

$service = JSON::PP::decode_json($service)->{key};

my $paths = $reply->{json}{paths};
my %operations;

for my $path (sort keys %$paths) {
    for my $method (sort keys %{ $paths->{$path} }) {
        my $operation = $paths->{$path}{$method};

        # to people these are not there

        my $bearer = $path =~ m{^/v1/usage/(?:log|audit)$} ? $service
                                                           : $studio->key;
        my $made = http(uc $method, $path =~ s/\{id\}/x/r,
                        port => $studio->port, bearer => $bearer,
                        uc $method eq 'POST' ? (body => '') : ());

        isnt($made->{status}, 405, "$method $path");
        isnt($made->{status}, 404, "$path is there") if $path !~ /\{/;
        isnt($made->{status}, 500);
        ok(!$operations{ $operation->{operationId} }++, 'under its own name');
        ok(exists $operation->{responses}{$_} || $_ eq '404',
           "status $_ is described") for $made->{status};
    }
}


subtest 'each route of the module is in it' => sub {
    my %routes;

    for my $file (glob 'ngx_pulse_*/*.c') {
        my $text = Pulse::Home::slurp($file);

        $routes{$2}{lc $1} = 1 while $text =~
            m{\{ \s* NGX_HTTP_([A-Z]+), \s* ngx_string\("(/[^"]+)"\)}gx;
    }

    cmp_ok(scalar keys %routes, '>', 10);

    for my $path (sort keys %routes) {
        ok(exists $paths->{$path}{$_}, "$_ $path")
            for sort keys %{ $routes{$path} };
    }

    ok(exists $paths->{$_}{post}, $_)
        for qw(/v1/chat/completions /v1/chat/complete);
};


subtest 'references lead somewhere' => sub {
    my @queue = ($reply->{json});
    my $broken = 0;

    while (defined(my $node = shift @queue)) {
        if (ref $node eq 'ARRAY') {
            push @queue, @$node;
            next;
        }

        next if ref $node ne 'HASH';

        if (defined $node->{'$ref'}) {
            my $target = $reply->{json};

            $target = $target->{$_} for grep { $_ ne '#' }
                split m{/}, $node->{'$ref'};
            $broken++ if !defined $target;
        }

        push @queue, values %$node;
    }

    is($broken, 0);
};


is($studio->stop, 0);

done_testing();
